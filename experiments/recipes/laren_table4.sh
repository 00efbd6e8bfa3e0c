#!/usr/bin/env bash
# LAREN's Table IV on the bundled prior: each network is trained on as many photos, then all are
# judged on the same ones. The network `laren` is the one that comes with the package.
#
#   bash experiments/recipes/laren_table4.sh DATA VALIDATION OUT [NETWORK...]
#
# DATA and VALIDATION: folders or .tars of photos. NETWORK: of train_restorer.py; default: all of
# the table. In the environment: IMAGES (64000), PRIOR (pbc64) and PYTHON. OUT gets a folder for each
# network, with curve.csv, samples.png and model/, and table4/, table.md and index.html among it.
# Killed at any time it goes on with the same command. A network takes two hours on 2 CPU cores
# that do nothing else.
set -euo pipefail
if [[ $# -lt 3 ]]; then sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2; fi
data=$1 validation=$2 out=$3 python=${PYTHON:-python} prior=${PRIOR:-pbc64}
shift 3
table="base base_w_plus base_styles gdm_vanilla gdm cgm_vanilla laren"
experiments=$(dirname "$(cd "$(dirname "$0")" && pwd)")
for network in ${*:-$table}; do
  echo "network $out/$network"
  "$python" "$experiments/train_restorer.py" "--network=$network" "--prior=$prior" "--data=$data" \
    "--val_data=$validation" "--out=$out/$network" --symmetry=dihedral \
    --blocks=4 --width=32 --growth=16 --capped \
    --learning_rate=3e-4 --adversarial_weight=0.001 --warmup_images=16000 \
    "--total_images=${IMAGES:-64000}" --tick_images=4000
done
"$python" "$experiments/evaluate.py" --suite=laren_table4 "--prior=$prior" "--models=$out" \
  "--data=$validation" "--out=$out/table4"
