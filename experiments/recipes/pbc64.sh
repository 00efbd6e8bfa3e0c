#!/usr/bin/env bash
# Makes the bundled prior pbc64 on CPU cores, in days: a StyleGAN2 of 64 px photos of blood cells, and a discriminator that suits it.
#
#   bash experiments/recipes/pbc64.sh DATA OUT      DATA: a folder or a .tar of photos; needs jaxsr[train]
#
# OUT gets a folder for each stage, NAME-KEY, with checkpoints/, curve.csv, samples.png and prior/, the prior as it stands. Killed at any time
# it goes on with the same command. KEY stands for a stage's settings: where they have changed, a new stage goes on from the newest prior, for
# as many images as are left. A new OUT starts from the bundled prior, or with FROM=none from nothing.
#
# Then: python experiments/train_flow.py --prior=PRIOR --hidden=512, and python experiments/bundle.py --prior=PRIOR --data=VALIDATION.
set -euo pipefail
if [[ $# != 2 ]]; then sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; fi
data=$1 out=$2 from=${FROM:-pbc64}
experiments=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"

# Texture is to come from w, so the noise inputs are held at zero. Cells have no up and no left.
common=(--mapping_layers=2 --style_mixing=0 --path_weight=0 --augment=none --symmetry=dihedral --batch=32 --noise_bound=0)
about=(--name=pbc64 "--domain=single white blood cells, stained, light microscope" "--licence=CC BY 4.0" "--credit=A. Acevedo et al., Data \
in Brief 30 (2020) 105474, Mendeley Data snkd93bnjr v1; cropped, averaged, re-encoded")

# told PRIOR KEY...: a number of its config.json, 0 where it is not there.
told() {
  python -c '
import functools, json, sys
config = json.load(open(sys.argv[1] + "/config.json"))
print(functools.reduce(lambda tree, key: tree.get(key, 0), sys.argv[2:], config))' "$@"
}

# The prior written last, in any stage; else the one to start from; nothing where there is none.
newest() {
  local found
  found=$(find "$out" -mindepth 3 -maxdepth 3 -path '*/prior/config.json' -printf '%T@ %h\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
  if [[ -z $found && $from != none ]]; then
    found=$(python -c 'import sys; from jaxsr import priors; print(priors.prior_folder(sys.argv[1]))' "$from")
  fi
  echo "$found"
}

# stage NAME PX IMAGES FLAG...: trains at PX until the prior has seen IMAGES in all; does nothing where it has, or is larger.
stage() {
  local name=$1 px=$2 total=$3 run last warm=() before=0
  shift 3
  run=$out/$name-$(printf '%s\n' "${common[@]}" "$@" | sha256sum | cut -c 1-8)
  if [[ ! -e $run/start ]]; then
    last=$(newest)
    if [[ -n $last ]] && (($(told "$last" net resolution) > px || $(told "$last" images) >= total)); then return; fi
    rm -rf "$run" && mkdir -p "$run/copy"
    # A copy, because the newest prior changes, and what a stage started from must not.
    if [[ -n $last ]]; then cp -r "$last/config.json" "$last/params" "$run/copy"; fi
    mv "$run/copy" "$run/start"
  fi
  if [[ -e $run/start/config.json ]]; then before=$(told "$run/start" images) warm=("--warm=$run/start"); fi
  echo "stage $run: from $before to $total images"
  python "$experiments/train_gan.py" "--data=$data" "--out=$run" "--resolution=$px" "--total_images=$((total - before))" \
    "${warm[@]}" "${common[@]}" "${about[@]}" "$@"
}

stage 32px 32 300000 --channels=128,128,96,64 --learning_rate=0.002 --r1_gamma=0.02 --ema_rampup=1 --tick_images=10000
stage 64px 64 1500000 --channels=128,128,96,64,32 --learning_rate=0.002 --r1_gamma=0.03 --ema_rampup=1 --tick_images=4000
# At a tenth of the rate generator and average agree, so the discriminator that comes out suits the average, which is the prior.
stage last 64 1600000 --channels=128,128,96,64,32 --learning_rate=0.0002 --r1_gamma=0.03 --ema_images=20000 --ema_rampup=1 --tick_images=4000
echo "prior: $(newest)"
