#!/usr/bin/env bash
# The first result: equal tuning, the factorial on fresh seeds at both tunings, the report. docs/results/gaussians/
#
#   scripts/result_gaussians.sh [RUNS [JOBS]]
#
# RUNS: where the runs go, runs/ by default; called again, it continues what is there. JOBS: how many runs side by side,
# with one thread each.
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

# All that the report reads, small enough to keep: the same page is made from it.
(cd "$runs" && find gaussians_{shared,own,tuning} -name config.yaml -o -name result.json -o -name provenance.json \
  -o -name metrics.jsonl -o -path "*/0/samples/000256000.png" | sort | tar -cJf gaussians_report/runs.tar.xz -T -)
