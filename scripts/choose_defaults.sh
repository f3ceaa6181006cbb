#!/usr/bin/env bash
# The search behind the default learning rates: a shared pair, chosen by mean rank over the arms, and each arm's best.
#
#   scripts/choose_defaults.sh [RUNS]      # a second call continues; prints the tables of docs/defaults.md
#
# Every arm first trains five pairs of rates, a cross around the middle one, at a quarter of the length on one seed;
# then the shared pair and each arm's best two, at full length on three other seeds. Two processes of one thread each:
# 20 short runs in 50 minutes on two cores, and up to 36 long runs of 12 to 20 minutes each.
set -euo pipefail
runs=${1:-runs}/defaults
mkdir -p "$runs"
common=(metrics=exact trainer.threads=1 trainer.precision=32-true trainer.progress=false wandb=disabled)

pairs=("2e-3 1e-3" "1e-3 1e-3" "4e-3 1e-3" "2e-3 5e-4" "2e-3 2e-3") # rates of G and of D

short() { # all pairs of rates; argument: generator.residual
  local lr_g lr_d
  for pair in "${pairs[@]}"; do
    read -r lr_g lr_d <<<"$pair"
    python -m resgan.train -m generator.residual="$1" disc.residual=true,false seed=1000 \
      generator.lr="$lr_g" disc.lr="$lr_d" total_kimg=50 score_kimg=0 sample_kimg=0 save_kimg=0 \
      run_dir="$runs/short" "${common[@]}" >>"$runs/log-$1" 2>&1
  done
}

long() { # three seeds for each line of a file, which has the options of one arm
  while read -ra options; do
    python -m resgan.train -m "${options[@]}" seed=0,1,2 run_dir="$runs/long" "${common[@]}" >>"$1.log" 2>&1
  done <"$1"
}

short true &
short false &
wait %1
wait %2
python scripts/defaults_tables.py "$runs" --chosen >"$runs/chosen"
split -n r/2 "$runs/chosen" "$runs/chosen-"
long "$runs/chosen-aa" &
long "$runs/chosen-ab" &
wait %1
wait %2
python scripts/defaults_tables.py "$runs"
