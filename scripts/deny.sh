#!/usr/bin/env bash
# Checks licences, sources and duplicate versions of every dependency, and advisories if their database is reachable.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    [ -n "${CI:-}" ] || { echo "deny: cargo-deny is not installed (cargo install --locked cargo-deny)" >&2; exit 0; }
    # Unoptimised, since it runs for one second.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/tools" \
        cargo install --quiet --locked cargo-deny || { echo "deny: skipped: cargo-deny could not be built" >&2; exit 0; }
fi
cargo deny check bans licenses sources
cargo deny check advisories || {
    cargo deny fetch >/dev/null 2>&1 && exit 1
    echo "deny: advisories skipped: their database cannot be reached" >&2
}
