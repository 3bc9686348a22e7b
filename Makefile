# The two commands a newcomer needs are `make demo` and `make test`; both set up all that they need.

CARGO ?= cargo
FUZZ_CASES ?= 50000
FUZZ_SEED ?= $(shell date +%s)
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release
TEST_LOG := $(TARGET)/test-output.txt

SHELL := /bin/bash

.PHONY: help setup build demo test fuzz lint bench bench-train chaos clean

help:
	@echo 'make demo    set up, build, and certify the demo to a printed table'
	@echo 'make test    set up, build, and run every test'
	@echo 'make fuzz    hostile input, $(FUZZ_CASES) cases to each target, from a seed that a failure names'
	@echo 'make lint    formatting and clippy, as CI checks them'
	@echo 'make bench   speed: passes, rules of stopping, choosing sigma, the queue, the command line (minutes)'
	@echo 'make bench-train  the training step beside PyTorch (needs a python with torch: PYTHON=...)'
	@echo 'make chaos   kill, stop, cut off and fill up everything, many times; prints what was lost (minutes)'
	@echo 'make setup   only install what the build needs'

setup:
	@scripts/setup.sh

build: setup
	$(CARGO) build --release --locked --workspace --bins

demo: build
	@scripts/demo.sh

# Tests of real images and models are ignored where those are missing: see tests/golden/README.md.
test: build
	set -o pipefail; $(CARGO) test --release --locked --workspace 2>&1 | tee $(TEST_LOG)
	@grep -o '[0-9]* ignored;' $(TEST_LOG) | awk '{ n += $$1 } END { print n + 0, "tests were ignored" }'

fuzz: setup
	DDRS_FUZZ_SEED=$(FUZZ_SEED) PROPTEST_CASES=$(FUZZ_CASES) $(CARGO) test --release --locked -p ddrs-tests --test fuzz

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

# In turn with PyTorch: make bench BENCH="--peer-python PATH".
bench: build
	$(CARGO) build --release --locked -p ddrs-coordinator --example shapes
	$(CARGO) run --release --locked -p ddrs-tests --example bench -- $(BENCH)

bench-train: build
	bench/train.sh

# Of another schedule: make chaos CHAOS='--seed 7'; one case: make chaos CHAOS='--case worker-kills'.
chaos: build
	$(CARGO) run --release --locked -p ddrs-tests --example chaos -- $(CHAOS)

clean:
	$(CARGO) clean
	rm -rf demo
