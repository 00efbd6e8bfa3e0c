#!/usr/bin/env bash
# Makes the next bundled prior pbc64 on CPU cores, in days: a StyleGAN2 of 64 px photos of blood
# cells, and a discriminator that suits it.
#
#   bash experiments/recipes/pbc64.sh DATA OUT
#
# DATA: a folder or a .tar of photos. Linux. PYTHON, if given, is the interpreter.
#
# OUT gets a folder for each stage, NAME-KEY-START, with checkpoints/, curve.csv, samples.png and
# prior/, the prior as it stands. Killed at any time it goes on with the same command. KEY stands
# for a stage's settings and START for the images seen before it: where settings have changed, a new
# stage goes on from the newest prior, for as many images as are left. A new OUT starts from FROM, a
# prior's name or folder; default: the bundled pbc64; FROM=none: from nothing.
#
# Then:
#
#   python experiments/train_flow.py --prior=PRIOR --hidden=512
#   python experiments/bundle.py --prior=PRIOR --data=VALIDATION
set -euo pipefail
if [[ $# != 2 ]]; then sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2; fi
data=$1 out=$2 from=${FROM:-pbc64} python=${PYTHON:-python}
here=$(cd "$(dirname "$0")" && pwd)
experiments=$(dirname "$here")
if [[ $from != none ]]; then from=$("$python" -c 'import sys; from jaxsr import loading
try: print(loading.prior_folder(sys.argv[1]))
except ValueError as error: sys.exit(f"FROM={sys.argv[1]}: {error}")' "$from"); fi
mkdir -p "$out"
exec 9>"$out/.lock"
flock --nonblock 9 || { echo "$out: another process is writing there" >&2; exit 2; }
. "$here/settings.sh"

# told PRIOR KEY...: a number of its config.json, 0 where it is not there.
told() {
  "$python" -c '
import functools, json, sys
config = json.load(open(sys.argv[1] + "/config.json"))
print(functools.reduce(lambda tree, key: tree.get(key, 0), sys.argv[2:], config))' "$@"
}

# The prior written last, in any stage; else the one to start from; nothing where there is none.
newest() {
  local found
  found=$(find "$out" -mindepth 3 -maxdepth 3 -path '*/prior/config.json' -printf '%T@ %h\n' |
    sort -n | tail -n 1 | cut -d ' ' -f 2-)
  if [[ -z $found && $from != none ]]; then found=$from; fi
  echo "$found"
}

# stage NAME PX IMAGES FLAG...: trains at PX until the prior has seen IMAGES in all; does nothing
# where it has, or is larger.
stage() {
  local name=$1 px=$2 total=$3 key run last images=0 pixels=0 warm=() before=0
  shift 3
  key=$name-$(printf '%s\n' "${common[@]}" "$@" | sha256sum | cut -c 1-8)
  last=$(newest)
  if [[ -n $last ]]; then images=$(told "$last" images); pixels=$(told "$last" net resolution); fi
  if ((pixels > px || images >= total)); then return; fi
  run=$(dirname "${last:-/none}")
  if [[ $run != "$out/$key-"* ]]; then run=$out/$key-$images; fi
  if [[ ! -e $run/start ]]; then
    rm -rf "$run" && mkdir -p "$run/copy"
    # A copy, because the newest prior changes, and what a stage started from must not.
    if [[ -n $last ]]; then cp -r "$last/config.json" "$last/params" "$run/copy"; fi
    mv "$run/copy" "$run/start"
  fi
  if [[ -e $run/start/config.json ]]; then
    before=$(told "$run/start" images)
    warm=("--warm=$run/start")
  fi
  echo "stage $run: from $before to $total images"
  "$python" "$experiments/train_gan.py" "--data=$data" "--out=$run" "--resolution=$px" \
    "--total_images=$((total - before))" \
    "${warm[@]}" "${common[@]}" "${about[@]}" "$@"
}

stage 32px 32 300000 --batch=16 "--channels=$small" --learning_rate=0.002 \
  --r1_gamma=0.06 --ema_rampup=0.5 --tick_images=10000
stage 64px 64 1500000 --batch=16 "--channels=$large" --learning_rate=0.002 \
  --r1_gamma=0.1 --ema_rampup=0.5 --tick_images=4000
# At a tenth of the rate generator and average agree, so the discriminator that comes out suits the
# average, which is the prior. Noise is let in, too weak to take over what w draws.
stage last 64 1600000 --batch=16 "--channels=$large" --learning_rate=0.0002 \
  --r1_gamma=0.1 --ema_images=20000 --ema_rampup=0.5 \
  --tick_images=4000 --noise_bound=0.003 --noise_layers=2
echo "prior: $(newest)"
