#!/usr/bin/env bash
# The comparison behind the default values: every candidate in all four arms at equal budget, ranked within each arm.
#
#   scripts/choose_defaults.sh [RUNS]      # called again, it continues what is there; writes docs/defaults.md
#
# A candidate is chosen by its mean rank over the arms, so that no arm is favoured. Two processes, one thread each.
set -euo pipefail
runs=${1:-runs}/defaults
mkdir -p "$runs"

# name|options; what is not said is as in conf/
candidates=(
  "batch 8, lr G 2e-3, penalty 0.1|batch_size=8 generator.lr=2e-3 loss.r1=0.1 loss.r2=0.1"
  "batch 16, lr G 2e-3, penalty 0.1|batch_size=16 generator.lr=2e-3 loss.r1=0.1 loss.r2=0.1"
  "batch 16, lr G 2e-3, penalty 0.3|batch_size=16 generator.lr=2e-3 loss.r1=0.3 loss.r2=0.3"
  "batch 16, lr G 1e-3, penalty 0.1|batch_size=16 generator.lr=1e-3 loss.r1=0.1 loss.r2=0.1"
  "batch 16, lr G 1e-3, penalty 1.5, latent 64|batch_size=16 generator.lr=1e-3 loss.r1=1.5 loss.r2=1.5 generator.latent_dim=64"
)

two_arms() { # every candidate with a residual, or with a plain generator
  for candidate in "${candidates[@]}"; do
    # shellcheck disable=SC2086  # the options are several words
    python -m resgan.train -m data=shapes_hard generator.residual="$1" disc.residual=true,false generator.latent_dim=16 disc.lr=1e-3 \
      ${candidate#*|} total_kimg=12 score_kimg=0 sample_kimg=0 save_kimg=4 \
      run_dir="$runs/${candidate%%|*}" trainer.threads=1 wandb=disabled >>"$runs/log-$1" 2>&1
  done
}

two_arms true &
two_arms false &
wait %1
wait %2
python scripts/defaults_page.py "$runs"
