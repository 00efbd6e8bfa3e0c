#!/usr/bin/env bash
# Compares settings of pbc64.sh (measured so far: candidates.md): each goes on from one prior for as
# many images, and all are judged beside each other.
#
#   bash experiments/recipes/candidates.sh DATA VALIDATION PRIOR OUT [NAME...]
#
# NAME: candidates of those below; default: all
#
# DATA and VALIDATION: folders or .tars of photos. PRIOR: what all start from. In the environment:
# IMAGES (12000), SEEDS ("0", or "0 1"), INVERT, photos to search for (64), FEATURES, a second
# network to judge in (judge_prior.py), and PYTHON. OUT gets a folder for each candidate and seed,
# NAME-SEED, with curve.csv; curves.png, Frechet distances over images and over minutes;
# judged/table.md, PRIOR's row among it. Killed at any time it goes on with the same command.
# Minutes count the machine's other work too, so nothing else should run.
set -euo pipefail
if [[ $# -lt 4 ]]; then sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2; fi
data=$1 validation=$2 prior=$3 out=$4 python=${PYTHON:-python}
shift 4
wanted=" $* "
known=$(sed -n 's/^candidate \([a-z_0-9]*\).*/\1/p' "$0")
for name in "$@"; do
  grep -qx -- "$name" <<<"$known" && continue
  echo "unknown candidate $name: expected one of" $known >&2
  exit 2
done
here=$(cd "$(dirname "$0")" && pwd)
experiments=$(dirname "$here")
. "$here/settings.sh"
judged=("--prior=$prior")

# candidate NAME FLAG...: trains and judges, if it is wanted.
candidate() {
  local name=$1 seed run
  shift
  if [[ $wanted != "  " && $wanted != *" $name "* ]]; then return; fi
  for seed in ${SEEDS:-0}; do
    run=$out/$name-$seed
    echo "candidate $run"
    "$python" "$experiments/train_gan.py" "--data=$data" "--out=$run" "--warm=$prior" \
      --resolution=64 "--channels=$large" "--seed=$seed" "--total_images=${IMAGES:-12000}" \
      --tick_images=3000 --ema_images=2000 --ema_rampup=1 --batch=16 --learning_rate=0.002 \
      --r1_gamma=0.1 "${common[@]}" "${about[@]}" "$@"
    judged+=("--prior=$run/prior")
  done
  local runs=("$out"/*/curve.csv)
  runs=("${runs[@]/#/--run=}")
  "$python" "$experiments/plot_curves.py" "--out=$out/curves.png" "${runs[@]%/curve.csv}"
  "$python" "$experiments/judge_prior.py" "--data=$validation" --num=1000 \
    "--invert=${INVERT:-64}" "--out=$out/judged" "${judged[@]}" \
    ${FEATURES:+"--features=$FEATURES"}
}

candidate recipe
candidate batch8 --batch=8
candidate batch32 --batch=32
candidate logistic --loss=logistic
candidate no_augment --augment=none
candidate more_augment --augment_p=0.4
candidate slow --learning_rate=0.001
candidate noise --noise_bound=0.003 --noise_layers=2
candidate ada --augment=ada
candidate no_emphasis --emphasis=0
candidate loose --r1_gamma=0.03
candidate loose_emphasis2 --r1_gamma=0.03 --emphasis=2
candidate loose_noise --r1_gamma=0.03 --noise_bound=0.01 --noise_layers=2
