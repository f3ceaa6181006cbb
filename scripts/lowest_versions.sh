#!/usr/bin/env bash
# Run the tests with the lowest versions that pyproject.toml admits, in an environment of their own:
#   scripts/lowest_versions.sh DIRECTORY [ARGUMENTS OF PYTEST]
#   scripts/lowest_versions.sh /tmp/lowest -n0 tests/training tests/runs
#
# DIRECTORY: kept, and used again by the next call; 8 GB with torch's wheel for CUDA. What resgan and its tests name is of
# the lowest version, what those need in turn of the newest that fits (uv's resolution lowest-direct).
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \?//p' "$0" >&2; exit 2; }
environment=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."

python3 -m venv "$environment/uv"
"$environment/uv/bin/pip" install --quiet uv
uv=$environment/uv/bin/uv
"$uv" pip compile --quiet pyproject.toml --extra dev --python-version 3.11 --resolution lowest-direct --no-header \
  --output-file "$environment/lowest.txt"
"$uv" venv --quiet --allow-existing --python 3.11 "$environment/python"
"$uv" pip sync --python "$environment/python/bin/python" "$environment/lowest.txt"
"$uv" pip install --quiet --python "$environment/python/bin/python" --no-deps -e .  # processes that tests start find it too

unset PYTHONPATH  # of another checkout
"$environment/python/bin/python" -m resgan.train --version
"$environment/python/bin/python" -m pytest "$@"
