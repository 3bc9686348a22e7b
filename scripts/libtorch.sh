#!/usr/bin/env bash
# Installs libtorch where the build looks for it: $LIBTORCH, or .libtorch next to Cargo.toml.
#
# Extracts it from the PyTorch wheel. pip downloads the wheel; Python does not import it.
#   (no argument)  the CPU libraries and the two small CUDA libraries that they link (about 470 MB)
#   --cuda         all libraries of the wheel, and those that it needs for a GPU (several GB)
# Does nothing if an earlier run has finished.
set -euo pipefail

TORCH=2.11.0
CUDA=13.0
cd "$(dirname "$0")/.."
prefix=${LIBTORCH:-$PWD/.libtorch}
kind=cpu
[ "${1:-}" = --cuda ] && kind=cuda
stamp="$prefix/.ddrs-$TORCH-$kind"
[ -e "$stamp" ] && exit 0

if [ -e "$prefix/lib/libtorch_cuda.so" ] && [ ! -e "$prefix/.ddrs-$TORCH-cuda" ]; then
    echo "libtorch: using the CUDA build already in $prefix" >&2
    exit 0
fi

case "$(uname -m)" in
    x86_64) arch=x86_64 ;;
    *) echo "libtorch: no wheel is known to work on $(uname -m); set LIBTORCH to a libtorch $TORCH" >&2; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Wheels for one fixed interpreter, so that the system's Python version does not matter.
platforms=()
for glibc in 2_28 2_27 2_25 2_24 2_17; do platforms+=(--platform "manylinux_${glibc}_$arch"); done
platforms+=(--platform "manylinux2014_$arch" --platform "manylinux1_$arch")
fetch() {
    python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --implementation cp \
        --python-version 3.12 "${platforms[@]}" --dest "$work/wheels" "$@"
}

echo "libtorch: fetching torch $TORCH ($kind) into $prefix" >&2
mkdir -p "$prefix/lib"
if [ "$kind" = cuda ]; then
    fetch "torch==$TORCH"
else
    fetch --no-deps "torch==$TORCH" "nvidia-cuda-cupti==$CUDA.*" "nvidia-cuda-runtime==$CUDA.*"
fi

# A wheel may lack some members, depending on its layout. The check below names those that must exist.
for wheel in "$work"/wheels/torch-*.whl; do
    members=('torch/include/*' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' 'torch/lib/libgomp*')
    [ "$kind" = cuda ] && members=('torch/include/*' 'torch/lib/*.so*')
    unzip -q -o "$wheel" "${members[@]}" -d "$work/tree"
done
for wheel in "$work"/wheels/nvidia_*.whl; do
    unzip -q -o "$wheel" '*/lib/*.so*' -d "$work/tree" || [ $? -eq 11 ]
done
rm -rf "$prefix/include"
mv "$work/tree/torch/include" "$prefix/include"
find "$work/tree" -name '*.so*' -type f -exec mv -f {} "$prefix/lib/" \;

# The linker follows this script; nothing of CUDA is linked, so one binary runs with and without a GPU.
[ -e "$prefix/lib/libtorch.so" ] && rm "$prefix/lib/libtorch.so"
echo 'INPUT(libtorch_cpu.so)' > "$prefix/lib/libtorch.so"

for needed in libtorch_cpu.so libc10.so libgomp.so.1 libcupti.so.13 libcudart.so.13; do
    [ -e "$prefix/lib/$needed" ] || { echo "libtorch: the wheels did not contain $needed" >&2; exit 1; }
done
if [ "$kind" = cpu ]; then   # cupti's profiling libraries are not needed
    rm -f "$prefix"/lib/{libpcsamplingutil,libnvperf_host,libcheckpoint,libnvperf_target}.so
fi
touch "$stamp"
