#!/usr/bin/env bash
# Train all four arms on real images and on the hard-edged testbed, and write the page that shows them.
#
#   scripts/first_light.sh IMAGES [RUNS]
#
# IMAGES: a folder, zip or tar of images (resized to 32 x 32). RUNS: directory of the runs, runs/ by default; a second
# call continues what is there. Two arms run side by side, with one thread each.
set -euo pipefail
images=$1
runs=${2:-runs}

four_arms() { # name, overrides...
  local name=$1 pids=()
  shift
  for residual in true false; do
    python -m resgan.train -m "$@" generator.residual=$residual disc.residual=true,false \
      run_dir="$runs/$name" trainer.threads=1 >"$runs/$name-$residual.log" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}

mkdir -p "$runs"
four_arms first_light experiment=first_light data.path="$images"
lab=(join=sum norm=pixel norm_place=branch fan_in=nominal first_bias=false)  # the defaults when the page was made
four_arms first_light_shapes data=shapes_hard "${lab[@]/#/generator.}" "${lab[@]/#/disc.}" batch_size=8 total_kimg=40 \
  score_kimg=10 sample_kimg=10 save_kimg=10 loss.r1=0.1 loss.r2=0.1 trainer.precision=32-true
python scripts/first_light_page.py "$runs/first_light" "$runs/first_light_shapes"
