#!/usr/bin/env bash
# Images per second of the gaussian training step: `ddrs-worker train` and the same step in PyTorch eager, in turn.
#
#   bench/train.sh [--python PYTHON] [--rounds N] [--batch N] [--group N] [--precision bf16|fp32] [--device cpu|cuda:0]
#                  [--threads N]
#
# PYTHON has torch. Every other round goes in reverse, so that a machine that gets faster or slower favours nobody; all warm up for
# an epoch and measure one of as many steps. Of each the best of the rounds counts, since other programs only ever make one
# slower. Prints a JSON line for each run, then a table with ratios to the faster peer: "one group" is the same computation
# as the peer's, groups take batch normalisation's statistics over fewer inputs and stand apart. Needs `make build`.
#
#   bench/train.sh --costs yes [...]
#
# What a step costs instead, without PyTorch: data-dependent sigmas, SmoothAdv and MACER, in turn with the gaussian loss at a fixed
# sigma, in groups. Beside each, the passes forward and backward that it is made of, of which the gaussian step is one.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3} rounds=3 batch=100 group=50 precision=bf16 device=cpu threads=() costs=""
while [ $# -gt 0 ]; do
  case $1 in
    --python) python=$2 ;; --rounds) rounds=$2 ;; --batch) batch=$2 ;; --group) group=$2 ;;
    --precision) precision=$2 ;; --device) device=$2 ;; --threads) threads=(--threads "$2") ;;
    --costs) costs=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done

target=${CARGO_TARGET_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cargo run --quiet --release --locked -p ddrs-coordinator --example shapes -- "$dir/shapes"

ours() { # NAME GROUP [LOSS [SIGMA]]
  local loss=${3:-$'kind = "gaussian"'} sigma=${4:-}
  cat > "$dir/train.toml" <<EOF
name = "bench"
seed = 1
[dataset]
format = "image-folder"
path = "shapes/train"
[validation]
samples = 100
[model]
architecture = "cifar-resnet20"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "$precision"
[loss]
$loss
[sigma]
initial = 0.25
$sigma
[train]
epochs = 2
batch = $batch
group = $2
[optimiser]
learning-rate = 0.1
EOF
  rm -f "$dir"/model.*
  "$target/release/ddrs-worker" train "$dir/train.toml" --out "$dir/model.safetensors" --device "$device" "${threads[@]}" 2> "$dir/stderr" ||
    { cat "$dir/stderr" >&2; exit 1; }
  # The second epoch; the first warms up.
  rate=$(tail -n 1 "$dir/model.log.jsonl" | sed 's/.*"images_per_second":\([0-9.]*\).*/\1/')
  printf '{"who": "%s", "precision": "%s", "batch": %s, "device": "%s", "images_per_second": %.1f}\n' \
    "$1" "$precision" "$batch" "$device" "$rate"
}

peer() { # LAYOUT
  "$python" bench/train_peer.py --layout "$1" --precision "$precision" --batch "$batch" --steps "$steps" \
    --device "${device/cuda:0/cuda}" "${threads[@]}"
}

# Runs one, two, three and four, every other round in reverse.
in_turn() {
  for round in $(seq "$rounds"); do
    if [ $((round % 2)) = 1 ]; then one; two; three; four; else four; three; two; one; fi
  done | tee "$dir/runs"
}

if [ -n "$costs" ]; then
  one() { ours "gaussian" "$group"; }
  two() { ours "data-dependent sigma, 2 draws, 1 iteration" "$group" 'kind = "gaussian"' $'choice = "data-dependent"\ndraws = 2'; }
  three() { ours "smoothadv, 1 draw, 2 steps" "$group" $'kind = "smoothadv"\nsteps = 2\nepsilon = 0.25\nwarm-up = 0'; }
  four() { ours "macer, 3 draws" "$group" $'kind = "macer"\ndraws = 3'; }
  in_turn
  awk -F'"' '
    { rate = $0; sub(/.*"images_per_second": /, "", rate); rate += 0; if (rate > best[$4]) best[$4] = rate; if (!seen[$4]++) name[++n] = $4 }
    END {
      printf "\n%-46s %10s %10s %10s\n", "", "images/s", "cost", "passes"
      split("1 3 3 3", of, " ")
      for (i = 1; i <= n; i++) printf "%-46s %10.0f %10.2f %10d\n", name[i], best[name[i]], best["gaussian"] / best[name[i]], of[i]
    }' "$dir/runs"
  exit
fi

images=$(find "$dir/shapes/train" -type f | wc -l)
steps=$(((images - 100) / batch))
apart="groups of $group (other batch statistics)"
one() { peer channels-last; }
two() { ours "ddrs, one group" "$batch"; }
three() { peer plain; }
four() { ours "ddrs, $apart" "$group"; }
in_turn

awk -F'"' '
  { rate = $0; sub(/.*"images_per_second": /, "", rate); rate += 0
    if (rate > best[$4]) best[$4] = rate
    if ($4 ~ /^pytorch/ && rate > peer) peer = rate
    if ($4 ~ /other batch statistics/) apart = $4 }
  function row(name) { printf "%-46s %10.0f %21.2fx\n", name, best[name], best[name] / peer }
  END {
    printf "\n%-46s %10s %22s\n", "", "images/s", "of the faster peer"
    row("ddrs, one group"); row("pytorch eager, channels-last"); row("pytorch eager, plain"); row(apart)
  }' "$dir/runs"
