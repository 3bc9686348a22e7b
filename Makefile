# Start with `make demo` and `make test`. Both install what they need.

CARGO ?= cargo
FUZZ_CASES ?= 50000
FUZZ_SEED ?= $(shell date +%s)
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release
TEST_LOG := $(TARGET)/test-output.txt

SHELL := /bin/bash

.PHONY: help setup build demo test fuzz lint bench bench-train chaos clean

help:
	@echo 'make demo         set up, build, certify two small sweeps and print their tables'
	@echo 'make test         set up, build, and run every test'
	@echo 'make lint         check formatting, clippy and the readability rules, as CI does'
	@echo 'make fuzz         run each fuzz target on $(FUZZ_CASES) cases; a failure names its seed'
	@echo 'make chaos        kill, stop, disconnect and fill up every part, and print what was lost (minutes)'
	@echo 'make bench        measure passes, noise, stopping rules, choices of sigma, the queue, the programs (minutes)'
	@echo 'make bench-train  compare the training step with PyTorch (PYTHON=... names a python with torch)'
	@echo 'make setup        install only what the build needs'

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
	$(CARGO) run --quiet --release --locked -p ddrs-style

# With PyTorch's loops: make bench BENCH="--peer-python PATH".
bench: build
	$(CARGO) build --release --locked -p ddrs-coordinator --example shapes
	$(CARGO) run --release --locked -p ddrs-tests --example bench -- $(BENCH)

# Other options of `ddrs-dev train-speed`: make bench-train TRAIN='--costs'.
bench-train: build
	$(CARGO) build --release --locked -p ddrs-coordinator --example shapes
	$(BIN)/ddrs-dev train-speed $(TRAIN)

# The schedule of a seed: make chaos CHAOS='--seed 7'. One case: make chaos CHAOS='--case worker-kills'.
chaos: build
	$(CARGO) run --release --locked -p ddrs-tests --example chaos -- $(CHAOS)

clean:
	$(CARGO) clean
	rm -rf demo
