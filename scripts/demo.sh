#!/usr/bin/env bash
# Certifies two small sweeps: a half-space classifier, whose radii are printed next to the true ones,
# and a small trained network on drawn shapes, with a fixed sigma and with one sigma per input, held
# fixed or selected by a network.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
cargo build --quiet --release --locked -p ddrs-coordinator --examples

# A finished demo prints its tables again; an interrupted one resumes.
dir=demo/half-space
[ -e "$dir/sweep.toml" ] || "$bin/examples/half_space" generate "$dir"
"$bin/ddrs-coordinator" run "$dir/sweep.toml" --out "$dir/run"
"$bin/examples/half_space" compare "$dir"
echo

[ -e demo/shapes/drawn ] || { "$bin/examples/shapes" demo/shapes && touch demo/shapes/drawn; }
"$bin/ddrs-coordinator" run examples/shapes/sweep.toml --out demo/shapes/run
"$bin/ddrs-coordinator" run examples/shapes/selected.toml --out demo/shapes/selected
echo "Reports: demo/{half-space,shapes}/run/report (table.{txt,json,csv,md,tex}, curve.svg, index.html)"
