#!/usr/bin/env bash
# The comparison behind the default values: every candidate in all four arms at equal budget, ranked within each arm.
#
#   scripts/choose_defaults.sh [RUNS]      # called again, it continues what is there; writes docs/defaults.md
#
# A candidate is chosen by its mean rank over the arms, so that no arm is favoured. Two processes, one thread each.
set -euo pipefail
runs=${1:-runs}/defaults
mkdir -p "$runs"

candidates=(
  "norm=pixel join=sum    penalty=5.0"
  "norm=pixel join=sum    penalty=0.5"
  "norm=pixel join=sum    penalty=1.5"
  "norm=group join=sum    penalty=0.5"
  "norm=none  join=scaled penalty=5.0"
)

try() { # one candidate in four arms
  local norm join penalty
  eval "$1"
  python -m resgan.train -m generator.residual=true,false disc.residual=true,false \
    generator.norm=$norm disc.norm=$norm generator.join=$join disc.join=$join \
    loss.r1=$penalty loss.r2=$penalty generator.decay=none disc.decay=none \
    total_kimg=6 score_kimg=0 sample_kimg=0 save_kimg=2 \
    run_dir="$runs/${norm}_${join}_penalty-${penalty}" trainer.threads=1 wandb=disabled
}

half() { # every second candidate, from the one given
  for ((k = $1; k < ${#candidates[@]}; k += 2)); do
    try "${candidates[$k]}" >>"$runs/log-$1" 2>&1
  done
}

half 0 &
half 1 &
wait %1 && wait %2
python scripts/defaults_page.py "$runs"
