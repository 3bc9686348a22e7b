#!/usr/bin/env bash
# Everything that needs a GPU in one command, within ten minutes, on a bare machine: no compiler, no network, no Redis.
#
#   scripts/gpu-check.sh [--worker FILE] [--device D] [--out DIR] [--spec SWEEP.toml] [--peer FILE.py] [--only PARTS] [--quick]
#                        [--minutes N]
#
#   --worker  the worker program    [default: bin/ddrs-worker beside this script, else target/release/ddrs-worker]
#   --device  what is checked       [default: cuda:0]; `cpu` runs the same steps where there is no GPU
#   --out     where all output goes [default: $OUT, else gpu-check-out]
#   --spec    a sweep whose models, first image and first sigma are compared too, e.g. a trained network
#   --peer    a script to run as the peers, e.g. peer_throughput.py [default: the worker's own, bench/peer.py]
#   --only    some of the parts "compare again training speed training-speed peers"; all of them otherwise
#   --quick   one small network and short measurements: tries the script rather than the device
#   --minutes the time for all of it [default: 9]
#
# Needs python3 with the torch that the worker was built for, or a libtorch with its CUDA half that LIBTORCH names, and the
# worker, which is all that must be carried there; with bench/train_peer.py beside this script, PyTorch's training step runs
# too. Correctness comes first, its steps side by side, a training that is killed and goes on among them; then our own speed, a
# step at a time; then the peers beside the rows that have targets, as far as the time goes: what it does not reach is listed as
# left out, and ends neither the steps after it nor the summary. The exit code is 1 if a step failed, or if correctness or our
# own speed was left out; a peer that fails or is left out only costs its ratio.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
worker= device=cuda:0 out=${OUT:-} spec= peer= only= quick= minutes=9
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=1; shift; continue ;;
        --worker | --device | --out | --spec | --peer | --only | --minutes) ;;
        *) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
    [ $# -ge 2 ] || { echo "gpu-check: $1 takes a value" >&2; exit 2; }
    declare "${1#--}=$2"
    shift 2
done
awk -v m="$minutes" 'BEGIN { exit !(m ~ /^[0-9]+([.][0-9]+)?$/ && m >= 0.1 && m <= 1440) }' ||
    { echo "gpu-check: --minutes $minutes: from 0.1 to 1440" >&2; exit 2; }
parts="compare again training speed training-speed peers"
for word in ${only:-$parts}; do
    [[ " $parts " == *" $word "* ]] || { echo "gpu-check: --only $word: the parts are $parts" >&2; exit 2; }
done
part() { [[ " ${only:-$parts} " == *" $1 "* ]]; }
first() { for file in "$@"; do [ -e "$file" ] && { echo "$file"; return; }; done; }
worker=${worker:-$(first "$here/bin/ddrs-worker" "$root/bin/ddrs-worker" "${CARGO_TARGET_DIR:-$root/target}/release/ddrs-worker")}
[ -x "$worker" ] || { echo "gpu-check: no worker program${worker:+ $worker}; build it, or name it with --worker" >&2; exit 2; }
worker=$(realpath "$worker")
out=${out:-gpu-check-out}
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The folders that python's torch has its libraries in. Nothing is imported: a wheel's folders are enough, and quicker.
python=$(command -v python3 || true)
torch=
if [ -n "$python" ]; then
    torch=$("$python" - <<'PY' 2>/dev/null || true
import glob, importlib.util, os
spec = importlib.util.find_spec("torch")
if spec and spec.submodule_search_locations:
    package = list(spec.submodule_search_locations)[0]
    site = os.path.dirname(package)
    folders = [os.path.join(package, "lib")] + sorted(glob.glob(os.path.join(site, "nvidia", "*", "lib")))
    print(":".join(folder for folder in folders if os.path.isdir(folder)))
PY
    )
fi
path=$torch
[ -z "$path" ] && [ -n "${LIBTORCH:-}" ] && path=$LIBTORCH/lib
# Images with the driver mounted in do not always tell the loader about it. What was there stays, behind torch's own.
for driver in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
    [ -e "$driver/libcuda.so.1" ] && path=${path:+$path:}$driver
done
export LD_LIBRARY_PATH=${path:+$path${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-}

started=$SECONDS failed=() left_out=() missing=() passed=0
deadline=$((started + $(awk -v m="$minutes" "BEGIN { print int(m * 60) }")))
# What an earlier run left here is not this one's.
rm -f "$out"/{doctor,loader}.txt "$out"/{compare,again,train,bench,speed-train,peer}-*.txt
say() { printf '%s\n' "$*" | tee -a "$out/summary.txt"; }
: > "$out/summary.txt"

# step NAME SECONDS COMMAND…: output into NAME.txt, its end into the summary. `missing` are steps that were left out and
# whose absence is a failure; steps after `optional=1` are not among them, and may fail.
optional=
step() {
    can_begin "$1" && { run "$@"; ended "$1"; }
}

# The same beside others, which `together` waits for.
beside=()
aside() {
    can_begin "$1" && { run "$@" & beside+=("$1"); }
}
together() {
    local name
    wait
    for name in "${beside[@]}"; do ended "$name"; done
    beside=()
}

# What has no chance to end is not begun.
can_begin() {
    [ $((deadline - SECONDS)) -gt 5 ] && return
    left_out+=("$1"); [ -n "$optional" ] || missing+=("$1")
    say "LEFT OUT $1: no time left"; return 1
}

run() {
    local name=$1 limit=$2 begun=$SECONDS left=$((deadline - SECONDS)) code
    shift 2
    [ "$limit" -gt "$left" ] && limit=$left
    timeout -k 5 "$limit" "$@" > "$out/$name.txt" 2> "$work/$name.stderr"
    code=$?
    [ -s "$work/$name.stderr" ] && { echo "-- stderr"; cat "$work/$name.stderr"; } >> "$out/$name.txt"
    echo "$code $((SECONDS - begun))" > "$work/$name.end"
}

# What a step came to: its exit code.
ended() {
    local name=$1 code=1 took=0 what
    [ ! -e "$work/$name.end" ] || read -r code took < "$work/$name.end"
    what="$name (exit code $code after $took s$([ "$code" -eq 124 ] && echo ', its limit')): $(tail -n 1 "$work/$name.stderr")"
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1)); say "ok      $name ($took s)"
    elif [ -n "$optional" ]; then
        left_out+=("$name"); say "LEFT OUT $what"
    else
        failed+=("$name"); say "FAILED  $what"
    fi
    return "$code"
}

say "gpu-check $(date -u +%Y-%m-%dT%H:%M:%SZ) on $(uname -srm), device $device"
say "worker $worker; libraries from ${path:-where the worker looks}"
{ nvidia-smi || /usr/local/nvidia/bin/nvidia-smi; } > "$out/nvidia-smi.txt" 2>&1 || true
env | grep -E '^(CUDA|CUDNN|CUBLAS|NVIDIA|TORCH|LD_LIBRARY_PATH)' | sort > "$out/environment.txt"

# 1. Does it run at all, in which precisions.
step doctor 120 "$worker" doctor --device "$device"
usable=$?
cat "$out/doctor.txt"
if [ "$usable" -ne 0 ]; then
    # Nothing after this could tell more; what the loader misses is what is needed to mend it.
    { ldd "$worker"; ls -l ${path//:/ } 2>&1 | grep -E 'torch|cudart|cupti|gomp|cudnn|^/'; } > "$out/loader.txt" 2>&1
    say "the device cannot be used: see doctor.txt and loader.txt in $out"
    exit 1
fi

# 2. The same noise through the CPU and the device.
compare() {
    aside "compare-$1" 120 "$worker" doctor --device "$device" --compare "${3:-$1}" --draws "$2"
}
models="cifar-resnet20 cifar-resnet110 resnet50"
[ -n "$quick" ] && models=cifar-resnet20
# Threads that wait by spinning take the cores from the steps beside.
export OMP_WAIT_POLICY=passive
if part compare; then
    for model in $models; do
        draws=1000
        [ "$model" = resnet50 ] && draws=128
        [ -n "$quick" ] && draws=64
        compare "$model" "$draws"
    done
    [ -z "$spec" ] || compare spec 1000 "$spec"
fi

# 3. The same sample, certified by two processes under both choices of sigma: the same records. (Within one process step 2
# sends the same images through twice and compares bits.)
certify_again() {
    local precision=$1 n=$2 iterations=$3 draws=$4 work=$work/again-$1 run
    mkdir -p "$work"
    "$(dirname "$worker")/ddrs-dev" random-weights cifar-resnet20 --centred --out "$work/model.safetensors" || return 1
    "$python" - "$work/data.safetensors" <<'PY' || return 1
import json, struct, sys
count, pixels = 2, 3 * 32 * 32
images = [((i * 7 + n * 131) % 256) / 255 for n in range(count) for i in range(pixels)]
size = 4 * count * pixels
header = json.dumps({"images": {"dtype": "F32", "shape": [count, 3, 32, 32], "data_offsets": [0, size]},
                     "labels": {"dtype": "I64", "shape": [count], "data_offsets": [size, size + 8 * count]}}).encode()
header += b" " * (-len(header) % 8)
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + struct.pack(f"<{count * pixels}f", *images) + struct.pack(f"<{count}q", 0, 1))
PY
    cat > "$work/sweep.toml" <<TOML
name = "again"
seed = 1
[dataset]
format = "tensors"
path = "data.safetensors"
[[model]]
name = "m"
path = "model.safetensors"
architecture = "cifar-resnet20"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "$precision"
[smoothing]
sigma = [0.5]
choice = ["fixed", "data-dependent"]
[smoothing.data-dependent]
iterations = $iterations
draws = $draws
learning-rate = 0.01
[certify]
n0 = 100
n = $n
alpha = 0.001
TOML
    for run in 1 2; do
        "$worker" certify "$work/sweep.toml" --index 0 --device "$device" > "$work/records" || return 1
        "$python" -c 'import json, sys
for line in sys.stdin:
    record = json.loads(line)
    record.pop("seconds")
    print(json.dumps(record, sort_keys=True))' < "$work/records" > "$work/run-$run" || return 1
        cat "$work/run-$run"
    done
    [ "$(wc -l < "$work/run-1")" -eq 2 ] || { echo "expected a record for either choice of sigma" >&2; return 1; }
    if grep -q '"error"' "$work/run-1"; then echo "a sample failed" >&2; return 1; fi
    cmp -s "$work/run-1" "$work/run-2" || { echo "the second process came to other records" >&2; return 1; }
}
export -f certify_again
export worker work device python
precisions="fp32 tf32 bf16 fp16" n=10000 iterations=50 draws=8
[ "$device" = cpu ] && precisions="fp32 bf16"
[ -n "$quick" ] && n=200 iterations=3 draws=2
if part again; then
    if [ -n "$python" ]; then
        for precision in $precisions; do
            aside "again-$precision" 120 bash -c 'certify_again "$@"' certify_again "$precision" "$n" "$iterations" "$draws"
        done
    else
        failed+=(again); say "FAILED  again: no python3 to make the data with"
    fi
fi

# 4. Training: killed when sigmas have moved and started again, it comes to the weights of a training that nobody stopped.
# resnet18 has max pooling, whose backward pass need not be deterministic on a GPU.
training() { # ARCHITECTURE IMAGES BATCH EPOCHS
    local architecture=$1 images=$2 batch=$3 epochs=$4
    mkdir -p "$work/train"
    "$python" - "$images" "$work/train/images.bin" <<'PY' || return 1
import random, sys
draw = random.Random(1)
with open(sys.argv[2], "wb") as file:
    for i in range(int(sys.argv[1])):
        file.write(bytes([i % 10]) + draw.randbytes(3072))
PY
    cat > "$work/train.toml" <<TOML
name = "train-again"
seed = 1
[dataset]
format = "cifar10"
path = "train"
[validation]
samples = 100
[model]
architecture = "$architecture"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "bf16"
[loss]
kind = "gaussian"
[sigma]
initial = 0.25
choice = "data-dependent"
from-epoch = 2
learning-rate = 0.01
[train]
epochs = $epochs
batch = $batch
[optimiser]
learning-rate = 0.01
TOML
}
train_again() {
    local work=$work/train-$1 pid
    training "$@" || return 1
    "$worker" train "$work/train.toml" --out "$work/whole.safetensors" --device "$device" || return 1
    "$worker" train "$work/train.toml" --out "$work/killed.safetensors" --device "$device" 2> "$work/killed.txt" & pid=$!
    # Killed when sigmas have moved: the third line is written just before its checkpoint, the fourth after it.
    until [ "$(grep -c epoch "$work/killed.log.jsonl" 2> "$work/gone")" -ge 4 ] 2> "$work/gone"; do
        kill -0 "$pid" 2> "$work/gone" || { cat "$work/killed.txt" >&2; return 1; }
        sleep 0.05
    done
    kill -9 "$pid"
    wait "$pid"
    [ -e "$work/killed.safetensors" ] && { echo "it was done before it was killed" >&2; return 1; }
    "$worker" train "$work/train.toml" --out "$work/killed.safetensors" --device "$device" || return 1
    cmp "$work/whole.safetensors" "$work/killed.safetensors" || { echo "going on came to other weights" >&2; return 1; }
}
train_speed() {
    local work=$work/speed-$1 name=$1
    rm -rf "$work"
    training "$@" || return 1
    "$worker" train "$work/train.toml" --out "$work/model.safetensors" --device "$device" || return 1
    # Epoch 0 pays for all first calls; sigma moves from epoch 2 on.
    sed 's/.*"epoch":\([0-9]*\).*"images_per_second":\([0-9.]*\).*/'"$name"' epoch \1: \2 images\/s/' "$work/model.log.jsonl"
}
export -f training train_again train_speed
if part training; then
    if [ -z "$python" ]; then
        failed+=(train); say "FAILED  train: no python3 to make the data with"
    elif [ -n "$quick" ]; then
        aside train-cifar-resnet20 120 bash -c 'train_again "$@"' train_again cifar-resnet20 300 50 5
    else
        aside train-cifar-resnet20 120 bash -c 'train_again "$@"' train_again cifar-resnet20 10000 256 5
        aside train-resnet18 120 bash -c 'train_again "$@"' train_again resnet18 10000 256 5
    fi
fi
together
unset OMP_WAIT_POLICY
grep -h '^compare' "$out"/compare-*.txt 2> "$work/gone" | tee -a "$out/summary.txt"

# 5. Our speed: a row for each model, precision and batch. What has targets comes first. Several rows to a step, for a
# process takes seconds to load the GPU's libraries; rows that were done before a step failed are kept.
bench() {
    local model=$1 precisions=$2 batches=$3 seconds=$4 code
    step "bench-$model-$precisions" 90 "$(dirname "$worker")/ddrs-dev" bench --model "$model" --precision "$precisions" --device "$device" \
        --batch "$batches" --samples 2 --seconds "$seconds" --repeats "$repeats" --no-peers --format json
    code=$?
    [ -e "$out/bench-$model-$precisions.txt" ] && grep '^{' "$out/bench-$model-$precisions.txt" | tee -a "$out/bench.jsonl"
    return "$code"
}
: > "$out/bench.jsonl"
repeats=3
if ! part speed; then
    :
elif [ -n "$quick" ]; then
    repeats=1
    bench cifar-resnet20 bf16 50 0.5
else
    bench cifar-resnet110 bf16 1000,4000 1
    bench cifar-resnet20 bf16 1000,4000 1
    bench resnet50 bf16 250,500 1
    others=$(printf '%s\n' $precisions | grep -v bf16 | paste -sd,)
    # Random weights of so many layers pass the numbers of fp16.
    bench cifar-resnet110 "${others%,fp16}" 1000 1
    bench cifar-resnet20 "$others" 1000 1
    bench resnet50 "$others" 250 1
fi

# 6. The step of training, in turn with PyTorch's.
peer_training() {
    local train_peer=$here/train_peer.py
    [ -e "$train_peer" ] || train_peer=$root/bench/train_peer.py
    if [ -z "$torch" ] || [ ! -e "$train_peer" ]; then
        left_out+=("$1"); say "LEFT OUT $1: no python3 with torch, or no train_peer.py beside this script"
        return
    fi
    optional=1
    step "$1" 60 "$python" "$train_peer" --precision bf16 --batch 256 --steps 70 --device "${device/cuda:0/cuda}" \
        && tee -a "$out/summary.txt" < "$out/$1.txt"
    optional=
}
if ! part training-speed; then
    :
elif [ -n "$quick" ]; then
    step speed-train-cifar-resnet20 60 bash -c 'train_speed "$@"' train_speed cifar-resnet20 300 50 3
else
    step speed-train-cifar-resnet20 60 bash -c 'train_speed "$@"' train_speed cifar-resnet20 20100 256 4
    peer_training peer-train
    step speed-train-cifar-resnet20-again 60 bash -c 'train_speed "$@"' train_speed cifar-resnet20 20100 256 4
    peer_training peer-train-again
    step speed-train-cifar-resnet110 60 bash -c 'train_speed "$@"' train_speed cifar-resnet110 10100 256 4
fi
grep -h 'images/s$' "$out"/speed-train-*.txt 2> "$work/gone" | tee -a "$out/summary.txt"

# 7. The peers, each in turn with the row whose target is a ratio to it. `tuned` is compiled, which takes longest and needs
# a C compiler: it comes last, and where it fails the row says why.
beside_peer() {
    local model=$1 precision=$2 batch=$3 loop=$4 batches=$5 limit=$6 name
    name="peer-$model-$precision-$loop"
    step "$name" "$limit" "$(dirname "$worker")/ddrs-dev" bench --model "$model" --precision "$precision" --device "$device" \
        --batch "$batch" --samples 2 --seconds "$seconds" --repeats "$repeats" --peers "$loop" --peer-batch "$batches" \
        --peer-python "$python" ${peer:+--peer-script "$peer"} --format json || return
    grep '^{' "$out/$name.txt" | tee -a "$out/bench.jsonl"
    grep -q "\"peer_${loop}_error\"" "$out/$name.txt" && { left_out+=("$name"); say "        without a ratio: the loop failed, see $name.txt"; }
    return 0
}
optional=1 repeats=2 seconds=2
if ! part peers; then
    :
elif [ -z "$python" ] || [ -z "$torch" ]; then
    left_out+=(peers); say "LEFT OUT peers: no python3 with torch"
elif [ -n "$quick" ]; then
    repeats=1 seconds=0.5
    beside_peer cifar-resnet20 bf16 50 plain 50 60
else
    beside_peer cifar-resnet110 bf16 4000 plain 1000,4000 60
    beside_peer resnet50 bf16 500 plain 250,500 60
    beside_peer cifar-resnet110 fp32 1000 plain 1000,4000 60
    beside_peer cifar-resnet110 fp32 1000 sigma 1000 60
    repeats=1
    beside_peer cifar-resnet110 bf16 4000 tuned 4000 180
    beside_peer resnet50 bf16 500 tuned 500 180
    beside_peer cifar-resnet20 fp32 1000 plain 1000,4000 60
fi

[ ${#left_out[@]} -eq 0 ] || say "left out, or without a ratio: ${left_out[*]}"
say "$passed steps passed, ${#failed[@]} failed${failed[*]:+: ${failed[*]}}; $((SECONDS - started)) s; all output in $out"
[ ${#failed[@]} -eq 0 ] && [ ${#missing[@]} -eq 0 ]
