#!/usr/bin/env bash
# A rehearsal of study=depth on points: both networks at 1, 4 and 16 blocks, 4 replicates, each with its own search;
# first with the same init for all arms (he), then with the best init of each arm. Then the report on both.
#
#   scripts/rehearse_depth.sh [RUNS [JOBS]]
#
# RUNS: directory of the runs, runs/ by default; a second call continues what is there. JOBS: number of jobs side by
# side, with one thread each.
set -euo pipefail
runs=${1:-runs}
jobs=${2:-1}
launcher=()
if [ "$jobs" -gt 1 ]; then launcher=(hydra/launcher=joblib "hydra.launcher.n_jobs=$jobs"); fi

study() {
  python -m resgan.train study=depth data=gaussians experiment=depth/both_1,depth/both_4,depth/both_16 "replicate=range(4)" \
    generator.width=32 disc.width=32 batch_size=64 total_kimg=384 tuning.accept_edge=true \
    trainer.stack=16 trainer.threads=1 trainer.progress=false ${launcher[@]+"${launcher[@]}"} "$@" >>"$runs/rehearse_depth.log"
}

mkdir -p "$runs"
study run_dir="$runs/depth_common"
study run_dir="$runs/depth_best" "tuning.inits=[he,looks_linear,zero_last]"
python -m resgan.report "$runs"/depth_{common,best} --out "$runs/depth_report"
