#!/usr/bin/env bash
# Compares settings of pbc64.sh: each goes on from one prior for as many images, and all are judged beside each other.
#
#   bash experiments/recipes/candidates.sh DATA VALIDATION PRIOR OUT
#
# IMAGES (12000), SEEDS ("0", or "0 1") and PYTHON may be set in the environment. DATA and VALIDATION: folders or .tars of photos. PRIOR: what all start from. OUT gets a folder for each candidate and seed, with curve.csv
# (over images and seconds), and judged/table.md, PRIOR's row among it. Killed at any time it goes on with the same command. Seconds count the
# machine's other work too, so nothing else should run.
set -euo pipefail
if [[ $# != 4 ]]; then sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; fi
data=$1 validation=$2 prior=$3 out=$4 python=${PYTHON:-python}
experiments=$(cd "$(dirname "$0")/.." && pwd)
. "$experiments/recipes/settings.sh"
judged=("--prior=$prior")

# candidate NAME FLAG...
candidate() {
  local name=$1 seed run
  shift
  for seed in ${SEEDS:-0}; do
    run=$out/$name-$seed
    echo "candidate $run"
    "$python" "$experiments/train_gan.py" "--data=$data" "--out=$run" "--warm=$prior" --resolution=64 "--channels=$large" "--seed=$seed" \
      "--total_images=${IMAGES:-12000}" "--tick_images=6000" --ema_images=2000 --ema_rampup=1 "${common[@]}" "${about[@]}" "$@"
    judged+=("--prior=$run/prior")
  done
}

candidate batch32 --batch=32 --r1_gamma=0.03
candidate batch16 --batch=16 --r1_gamma=0.03
candidate batch8 --batch=8 --r1_gamma=0.03
"$python" "$experiments/judge_prior.py" "--data=$validation" --num=1000 --invert=32 "--out=$out/judged" "${judged[@]}"
