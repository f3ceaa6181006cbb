#!/usr/bin/env bash
# The figures of docs/scores.md: real images against real images, and the arms of scripts/first_light.sh.
#
#   scripts/scores.sh IMAGES ARMS [OUT]
#
# IMAGES: a folder with train/ and test/ (CIFAR-10 as files). ARMS: the runs of first_light.sh on these images.
# OUT: directory for the measurements and tables, runs/scores by default.
set -euo pipefail
images=$1 arms=$2 out=${3:-runs/scores}
mkdir -p "$out"

# Random halves of train: their score is that of a generator that samples the data distribution itself.
python - "$images/train" "$out" <<'PYTHON'
import sys
import numpy as np
import torch
from resgan.data.folder import load_folder
train = load_folder(sys.argv[1], size=None, channels=3, holdout=0.5, seed=0)
for name, half in (("one", train.train), ("other", train.holdout)):
    np.savez(f"{sys.argv[2]}/{name}_half.npz", samples=half.permute(0, 2, 3, 1).numpy())
PYTHON

score() { local name=$1; shift; python -m resgan.evaluate "$@" outdir="$out/$name" | tee "$out/$name.txt"; }

score test_to_train fake="$images/test" real="$images/train" split=train
score halves fake="$out/one_half.npz" real="$out/other_half.npz" split=half
score arms ckpt="$arms" real="$images/train" split=train
