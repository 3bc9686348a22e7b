#!/usr/bin/env bash
# Installs what the build and the programs need: Debian packages, and libtorch in a folder that git ignores.
# Does nothing if everything is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need redis-server redis-server
need c++ g++
need unzip unzip
need make make
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)

if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}" >&2
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "setup: not root and no sudo; install ${missing[*]} and run this again" >&2; exit 1; }
        sudo=sudo
    fi
    # The package's redis-server must not start: each run and test starts a private one.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod +x "$policy"
        trap '$sudo rm -f "$policy"' EXIT
    fi
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

command -v cargo >/dev/null || { echo "setup: no cargo; install a Rust toolchain (1.89 or newer) from rustup.rs" >&2; exit 1; }
# A machine with a GPU also needs libtorch's CUDA libraries.
if [ -d /proc/driver/nvidia/gpus ]; then scripts/libtorch.sh --cuda; else scripts/libtorch.sh; fi
