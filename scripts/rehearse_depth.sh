#!/usr/bin/env bash
# A rehearsal of study=depth on points: both networks at 1, 4 and 16 blocks, 4 replicates, each with its own search;
# first with the same init for all arms (he), then with the best init of each arm. Then the report on both.
#
#   scripts/rehearse_depth.sh [RUNS [PROCESSES]]
#
# RUNS: directory of the runs, runs/ by default; a second call continues what is there. PROCESSES: 1, 2 or 4, side by
# side, with one thread and an equal share of the replicates each.
set -euo pipefail
runs=${1:-runs}
processes=${2:-1}
share=$((4 / processes))
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM

study() { # arguments: name of the directory, further options
  local name=$1 first
  shift
  for ((first = 0; first < 4; first += share)); do
    python -m resgan.train study=depth data=gaussians experiment=depth/both_1,depth/both_4,depth/both_16 \
      "replicate=range($first,$((first + share)))" generator.width=32 disc.width=32 batch_size=64 total_kimg=384 \
      tuning.accept_edge=true trainer.stack=32 trainer.threads=1 trainer.progress=false run_dir="$runs/$name" "$@" \
      >>"$runs/$name-$first.log" 2>&1 &
  done
  for job in $(jobs -p); do
    wait "$job"
  done
}

mkdir -p "$runs"
study depth_common
study depth_best "tuning.inits=[he,looks_linear,zero_last]"
python -m resgan.report "$runs"/depth_{common,best} --out "$runs/depth_report"
