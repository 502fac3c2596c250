#!/usr/bin/env bash
# Trains on this machine, from packed pictures to a checkpoint to publish; the same command goes on
# where the last one stopped.  See docs/training-on-a-gpu.md.
#
#     training/run_on_gpu.sh PACKED TEACHER.xml OUT
#
# Paths are taken from the checkout.  PACKED holds the unpacked parts of `python -m training pack`.
# For a recipe that asks no teacher, write none in the place of TEACHER.xml.
# From the environment: RECIPE (densenet121.json), SCALE (of the recipe's steps; the same in each
# call), STOP_AFTER (seconds, then resume later), TRAIN_OPTIONS (such as --compile, or --start
# WEIGHTS --stage N).
set -euo pipefail
cd "$(dirname "$0")/.."
if (($# != 3)); then
    echo "usage: training/run_on_gpu.sh PACKED TEACHER.xml OUT (see docs/training-on-a-gpu.md)" >&2
    exit 2
fi
packed=$1 teacher=$2 out=$3
options=(--recipe "${RECIPE:-training/recipes/densenet121.json}" --data "$out/data"
    --scale "${SCALE:-1}")
[[ $teacher == none ]] || options+=(--teacher "$teacher")
read -ra more <<<"${TRAIN_OPTIONS:-}"

python3 -m training prepare --packed "$packed" --out "$out/data"
python3 -m training train "${options[@]}" "${more[@]}" --out "$out" \
    ${STOP_AFTER:+--stop-after "$STOP_AFTER"}
python3 -m training light --run "$out" --out "$out/light.pt"
python3 -m training light --run "$out" --average-only --out "$out/average.pt"
# Parts that any way of carrying takes; `cat light.pt.* >checkpoint.pt` joins them.
split --bytes=15M --numeric-suffixes "$out/light.pt" "$out/light.pt."
