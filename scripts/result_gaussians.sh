#!/usr/bin/env bash
# The first result, docs/results/gaussians/: equal tuning, the factorial on fresh seeds at both tunings, and the report.
#
#   scripts/result_gaussians.sh [RUNS [JOBS]]
#
# RUNS: directory of the runs, runs/ by default; a second call continues what is there. JOBS: number of runs side by
# side, with one thread each.
set -euo pipefail
runs=${1:-runs}
jobs=${2:-1}
launcher=()
if [ "$jobs" -gt 1 ]; then launcher=(hydra/launcher=joblib "hydra.launcher.n_jobs=$jobs"); fi

study() { python -m resgan.train "$@" experiment=headline/sum,headline/scaled data.modes=25 generator.norm_place=branch disc.norm_place=branch ${launcher[@]+"${launcher[@]}"} trainer.threads=1 trainer.progress=false >>"$runs/result_gaussians.log"; }

mkdir -p "$runs"
study study=gaussians_tuning run_dir="$runs/gaussians_tuning"
for best in shared own; do
  study study=gaussians total_kimg=256 score_kimg=32 tuning.best=$best tuning.runs="$runs/gaussians_tuning" run_dir="$runs/gaussians_$best"
done
python -m resgan.report "$runs"/gaussians_{shared,own,tuning} --out "$runs/gaussians_report"

# Archive everything that the report reads, which is small, so that the same page can be made again.
(cd "$runs" && find gaussians_{shared,own,tuning} -name config.yaml -o -name result.json -o -name provenance.json \
  -o -name metrics.jsonl -o -path "*/0/samples/000256000.png" | sort | tar -cJf gaussians_report/runs.tar.xz -T -)
