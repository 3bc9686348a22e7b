#!/usr/bin/env bash
# The main job in small: a half-space classifier whose true radii are known, certified and printed beside the truth.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
dir=demo/half-space
cargo build --quiet --release --locked -p ddrs-coordinator --example half_space

# A finished demo is shown again; an interrupted one goes on.
[ -e "$dir/sweep.toml" ] || "$bin/examples/half_space" generate "$dir"
"$bin/ddrs-coordinator" run "$dir/sweep.toml" --out "$dir/run"
"$bin/examples/half_space" compare "$dir"
echo "Reports: $dir/run/report (table.{txt,json,csv,md,tex}, curve.svg, index.html)"
