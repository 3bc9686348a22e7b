#!/usr/bin/env bash
# The evidence on CIFAR-10: trains a network for each loss with a fixed and with a data-dependent sigma, certifies each of
# them with a fixed and with a data-dependent sigma, and prints the tables. Whatever is done already is skipped, and what was
# begun goes on, so it may be killed at any time and started again with the same arguments. More sigmas and losses may be asked
# of the same --out later; the tables are of those that were named last, so name them all.
#
#   scripts/cifar10-evidence.sh [--data DIR] [--out DIR] [--sigma "0.25 0.5"] [--losses "gaussian smoothadv macer"]
#                               [--trained "fixed data-dependent"] [--networks DIR] [--epochs N] [--architecture NAME]
#                               [--precision bf16|fp32] [--certify-precision bf16|fp32] [--device D]
#                               [--train-images N] [--images N] [--n N] [--only train]
#                               [--batch N] [--learning-rate R] [--chunk N] [--job-samples N] [--at-once N] [--workers N]
#
# DIR has folders `train` and `test` with the .bin files of CIFAR-10's binary version, or train.tar.gz and test.tar.gz with its
# images as JPEG, a folder a class. Without --epochs a loss gets 12 or 6, which take 7 to 20 minutes on two cores for a ResNet-20;
# with it, all get as many as it says. --train-images divides 50000, --images 10000. --trained names the ways of choosing sigma in
# training that are asked for. Other arguments than an --out was begun with need another --out. With --networks nothing is trained:
# finished networks LOSS-CHOICE-SIGMA.safetensors are taken from there, such as those of release/cifar10-resnet20. Networks are
# certified in what --precision says, wherever they come from, unless --certify-precision says something else: on a CPU without
# AVX-512 BF16, fp32 is the faster one. The programs are those of `make build`, or in the folder that the variable BIN names. Where the
# script alone was killed outright, a training that it began goes on and holds its files: wait for it, or end it.
#
# For a GPU, which one small network does not fill: --at-once trains, and then certifies, so many networks side by side, with
# --workers workers each; --batch is the batch of training, whole instead of in groups; --chunk the draws of a forward pass;
# --job-samples 32 fills the ascents, which take as many inputs at a time.
#
# In pieces, on a machine that is there for minutes: copy --out there, run this with `timeout -s INT 8m`, copy --out back. What is
# needed to go on are its folders specs, models and runs; once NAME.done is there, NAME.checkpoint.safetensors may be deleted.
#
# What differs from the papers, in all of them: the network, few epochs, a one-cycle schedule, batches of 128 whose normalisation
# takes its statistics over groups of 64, weight decay 5e-4, and the same recipe for every sigma. SmoothAdv: one draw, two steps of
# attack of length 0.25 in all from the first epoch on. MACER: 3 draws, lambda 4, a learning rate of 0.02. Fixed and data-dependent
# networks have the same epochs, not the same computing: with sigma's ascent a gaussian step takes 2.3 times as long.
#
# The ascent to sigma is not the paper's. Alfarra et al. train with steps of 1e-4 times the derivative over 90 to 440 epochs; in
# the few epochs here that would leave every sigma where it began, so training takes steps of 0.01, a hundred times as long, two
# draws to tame them, and a range from 0.4 to 4 times the initial sigma. Certifying takes 100 steps of 2e-3 with 8 draws, where the
# default of a sweep is 100 of 1e-4 with one: each is as long as twenty of those, and eight draws make it less noisy.
set -euo pipefail

data=../shared/data/cifar10 out=runs/cifar10-evidence sigmas=0.25 losses="gaussian smoothadv macer"
trained="fixed data-dependent" epochs="" architecture="" precision=bf16 device=auto train_images="" images=500 n=10000
networks="" certify_precision="" only="" batch="" learning_rate="" chunk="" job_samples="" at_once=1 workers=""
here=$(cd "$(dirname "$0")/.." && pwd)
while [ $# -gt 0 ]; do
  [ "$1" != --help ] || { sed -n '2,/^set /s/^# \?//p' "$0"; exit; }
  [ $# -gt 1 ] || { echo "$1 needs a value" >&2; exit 2; }
  case $1 in
    --data) data=$2 ;; --out) out=$2 ;; --sigma) sigmas=$2 ;; --losses) losses=$2 ;; --epochs) epochs=$2 ;;
    --trained) trained=$2 ;; --networks) networks=$2 ;; --certify-precision) certify_precision=$2 ;;
    --architecture) architecture=$2 ;; --precision) precision=$2 ;; --device) device=$2 ;;
    --train-images) train_images=$2 ;; --images) images=$2 ;; --n) n=$2 ;; --only) only=$2 ;;
    --batch) batch=$2 ;; --learning-rate) learning_rate=$2 ;; --job-samples) job_samples=$2 ;; --chunk) chunk=$2 ;; --at-once) at_once=$2 ;; --workers) workers=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
refuse() {
  echo "$1" >&2
  exit 2
}
# OPTION ALLOWED WORD...: there is a word, each is allowed (a pattern), none is there twice.
words() {
  local option=$1 allowed=$2 word
  shift 2
  [ $# -gt 0 ] || refuse "$option names nothing"
  for word in "$@"; do [[ $word =~ ^($allowed)$ ]] || refuse "$option: $word is not one of what it may be ($allowed)"; done
  [ -z "$(printf '%s\n' "$@" | sort | uniq -d)" ] || refuse "$option names something twice: $*"
}
# A part of a dataset is every so-many-th image, since they are sorted by class; any other number would be of some classes only.
part() { # OPTION COUNT OF
  [[ $2 =~ ^[1-9][0-9]*$ ]] && [ $(($3 % $2)) = 0 ] || refuse "$1: $3 images cannot be thinned out evenly to $2"
}
folder() { # OPTION DIR
  [ -d "$2" ] || refuse "$1: there is no folder $2"
}
# Before anything is computed, for training takes hours.
words --losses 'gaussian|smoothadv|macer' $losses
words --trained 'fixed|data-dependent' $trained
words --sigma '[0-9]+(\.[0-9]+)?' $sigmas
words --precision 'bf16|fp32' "$precision"
words --certify-precision 'bf16|fp32' "${certify_precision:-$precision}"
words --epochs '[1-9][0-9]*' "${epochs:-1}"
words --only 'train' "${only:-train}"
words --batch '[1-9][0-9]*' "${batch:-1}"
words --learning-rate '0\.[0-9]+' "${learning_rate:-0.1}"
words --chunk '[1-9][0-9]*' "${chunk:-1}"
words --job-samples '[1-9][0-9]*' "${job_samples:-1}"
words --at-once '[1-9][0-9]?' "$at_once"
words --workers '[1-9][0-9]?' "${workers:-1}"
[[ $n =~ ^[1-9][0-9]{1,8}$ ]] || refuse "--n: at least 10 draws certify anything at this alpha, not $n"
part --images "$images" 10000
folder --data "$data"
if [ -n "$networks" ]; then
  [ -z "$only$epochs$architecture$train_images$batch$learning_rate" ] ||
    refuse "--networks are trained already: leave out --only, --epochs, --architecture, --train-images, --batch and --learning-rate"
  folder --networks "$networks"
  networks=$(cd "$networks" && pwd)
fi
train_images=${train_images:-50000} architecture=${architecture:-cifar-resnet20}
part --train-images "$train_images" 50000
if [ -z "${BIN:-}" ]; then
  BIN=$(cd "$here" && cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
fi
data=$(cd "$data" && pwd)
mkdir -p "$out"/{specs,models,runs}
out=$(cd "$out" && pwd)
# Held by this script alone: programs that it starts may outlive it.
exec 9> "$out/lock"
flock -n 9 || refuse "another $(basename "$0") is at work in $out"

# PART FILE...: the images that an --out was begun with stay its images.
same_images() {
  local part=$1 digest
  shift
  digest=$(cat "$@" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$out/$part.sha256" 2>/dev/null || echo "$digest")" = "$digest" ] ||
    refuse "$data has other $part images than those that $out was begun with: give another --out"
  echo "$digest" > "$out/$part.sha256"
}

# PART COUNT: the JPEG version's images, unpacked beside their place, where they come whole or not at all.
unpack() {
  local archive=$data/$1.tar.gz found
  [ -e "$archive" ] || refuse "$data has neither train/*.bin nor $1.tar.gz"
  same_images "$1" "$archive"
  [ ! -e "$out/images/$1" ] || return 0
  rm -rf "$out/images/unpacking"
  mkdir -p "$out/images/unpacking"
  tar xzf "$archive" -C "$out/images/unpacking"
  found=$(find "$out/images/unpacking/$1" -type f | wc -l)
  [ "$found" = "$2" ] || refuse "$archive has $found images in $1, not $2"
  mv "$out/images/unpacking/$1" "$out/images/$1"
}

# Where the images are, and what they are.
if compgen -G "$data/train/*.bin" > /dev/null; then
  compgen -G "$data/test/*.bin" > /dev/null || refuse "$data has train/*.bin, but no test/*.bin"
  same_images train "$data"/train/*.bin
  same_images test "$data"/test/*.bin
  # By a link, so that specifications, and with them models, are the same wherever the images are.
  ln -sfn "$data" "$out/data"
  format=cifar10 images_at=../data
else
  [ -n "$networks" ] || unpack train 50000
  unpack test 10000
  format=image-folder images_at=../images
fi

# FILE [MADE...]: rewrites a file only where its content changes, and not where a file MADE was made by the old content.
write() {
  local file=$1 new made
  shift
  new=$(cat)
  [ -e "$file" ] && [ "$new" = "$(cat "$file")" ] && return
  for made in "$@"; do
    if [ -e "$file" ] && [ -e "$made" ]; then
      echo "$made was made with other arguments, as in $file: give them again, give another --out, or delete all of that name" >&2
      exit 2
    fi
  done
  printf '%s\n' "$new" > "$file"
}

# FACTOR SIGMA: their product, as a number with a point.
times() { awk -v a="$1" -v b="$2" 'BEGIN { text = sprintf("%.4g", a * b); print text (text ~ /[.e]/ ? "" : ".0") }'; }

# LOSS: its table, its epochs, its learning rate, and the epoch from which sigma moves.
recipe() {
  case $1 in
    gaussian) numbers="" own=12 rate=0.1 ;;
    smoothadv) numbers=$'draws = 1\nsteps = 2\nepsilon = 0.25\nwarm-up = 1' own=6 rate=0.1 ;;
    macer) numbers=$'draws = 3\nbeta = 16.0\ngamma = 8.0\nlambda = 4.0' own=6 rate=0.02 ;;
  esac
  count=${epochs:-$own} rate=${learning_rate:-$rate}
  from=$((count / 2))
}

# NAME LOSS CHOICE SIGMA
training_spec() {
  local choice=""
  [ "$3" = fixed ] || choice=$'choice = "data-dependent"\nfrom-epoch = '$from$'\niterations = 1\ndraws = 2\nlearning-rate = 0.01\nrange = ['$(times 0.4 "$4")', '$(times 4 "$4")]
  write "$out/specs/$1.train.toml" "$out/models/$1".{checkpoint.safetensors,safetensors,done} <<EOF
name = "$1"
seed = 1
[dataset]
format = "$format"
path = "$images_at/train"
stride = $((50000 / train_images))
[validation]
samples = $((train_images / 50))
[model]
architecture = "$architecture"
classes = 10
mean = [0.4914, 0.4822, 0.4465]
std = [0.2023, 0.1994, 0.2010]
precision = "$precision"
[loss]
kind = "$2"
$numbers
[sigma]
initial = $4
$choice
[train]
epochs = $count
batch = ${batch:-128}
group = ${batch:-64}
[optimiser]
learning-rate = $rate
weight-decay = 5e-4
schedule = "one-cycle"
EOF
}

# Every so-many-th of the test images, which are sorted by class: the first 500 would all be airplanes.
# NAME SIGMA
sweep_spec() {
  write "$out/specs/$1.toml" "$out/runs/$1" <<EOF
name = "$1"
seed = 1
[dataset]
format = "$format"
path = "$images_at/test"
stride = $((10000 / images))
limit = $images
[[model]]
name = "$1"
path = "../models/$1.safetensors"
precision = "${certify_precision:-$precision}"
[smoothing]
sigma = [$2]
choice = ["fixed", "data-dependent"]
[smoothing.data-dependent]
iterations = 100
draws = 8
learning-rate = 2e-3
[certify]
n0 = 100
n = $n
alpha = 0.001
memory = true${chunk:+
chunk = $chunk}${job_samples:+
[queue]
job-samples = $job_samples}
[report]
radii = [0.0, 0.25, 0.5, 0.75, 1.0]
EOF
}

# NAME: the finished network of that name, by its own word too, which is in the specification that it holds.
take() {
  local from=$networks/$1.safetensors to=$out/models/$1.safetensors
  [ -e "$from" ] || refuse "$networks has no $1.safetensors"
  grep -aqF "name = \\\"$1\\\"" "$from" || refuse "$from is no network of the name $1, by the specification in it"
  # In one step, so that one that is killed here leaves nothing that looks like another network.
  [ -e "$to" ] || { cp "$from" "$to.part" && mv "$to.part" "$to"; }
  cmp -s "$from" "$to" || refuse "$to is another network than $from: give another --out"
}

# NAME
train() {
  # Finished only if it is of this very specification.
  local digest
  digest=$(sha256sum "$out/specs/$1.train.toml" | cut -d' ' -f1)
  if [ ! -e "$out/models/$1.safetensors" ] || [ "$(cat "$out/models/$1.done" 2>/dev/null)" != "$digest" ]; then
    "$BIN/ddrs-worker" train "$out/specs/$1.train.toml" --out "$out/models/$1.safetensors" --device "$device" 9>&-
    echo "$digest" > "$out/models/$1.done"
  fi
}

# COMMAND...: beside as many others as --at-once allows. `together` waits for them, and ends the script if one failed.
declare -A begun=()
aside() {
  if [ "$at_once" = 1 ]; then
    "$@"
  else
    while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
    "$@" &
    begun[$!]=$*
  fi
}
together() {
  local pid status=0
  for pid in "${!begun[@]}"; do
    wait "$pid" || { status=$?; echo "failed: ${begun[$pid]}" >&2; }
  done
  begun=()
  [ "$status" = 0 ] || exit "$status"
}

runs=()
for sigma in $sigmas; do
  for loss in $losses; do
    recipe "$loss"
    for choice in $trained; do
      name=$loss-$choice-$sigma
      if [ -n "$networks" ]; then take "$name"; else training_spec "$name" "$loss" "$choice" "$sigma"; fi
      sweep_spec "$name" "$sigma"
      runs+=("$out/runs/$name")
    done
  done
done
# Nothing is begun before all that could be refused was looked at.
if [ -z "$networks" ]; then
  for run in "${runs[@]}"; do aside train "$(basename "$run")"; done
  together
fi
(cd "$out/models" && find . -name '*.safetensors' ! -name '*.checkpoint.*' -printf '%P\n' | sort | xargs sha256sum > SHA256SUMS)

if [ "$only" = train ]; then
  echo "Models: $out/models, with a log of each epoch and their digests"
  exit
fi
# RUN
certify() {
  local run=$1 name digest
  name=$(basename "$run")
  digest=$(cat "$out/specs/$name.toml" "$out/models/$name.safetensors" | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$run.done" 2>/dev/null)" != "$digest" ]; then
    "$BIN/ddrs-coordinator" run "$out/specs/$name.toml" --out "$run" --device "$device" ${workers:+--workers "$workers"} 9>&-
    echo "$digest" > "$run.done"
  fi
}
for run in "${runs[@]}"; do aside certify "$run"; done
together

"$BIN/ddrs-coordinator" report "${runs[@]}" --radii 0:1:0.25 --format markdown > "$out/table.md"
"$BIN/ddrs-coordinator" report "${runs[@]}" --radii 0:1:0.25 --format csv > "$out/table.csv"

logs=()
for run in "${runs[@]}"; do
  logs+=("$run"/report/*_fixed_*.tsv "$run"/report/*_data-dependent_*.memory.tsv)
done
awk -F'\t' -f "$here/scripts/cifar10-envelope.awk" "${logs[@]}" > "$out/envelope.md"

cat "$out/table.md" "$out/envelope.md"
echo "Tables: $out/table.md, $out/table.csv, $out/envelope.md; models: $out/models, with a log of each epoch; runs: $out/runs"
