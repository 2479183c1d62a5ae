# Targets for people; CI calls the same ones. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

SWIFT ?= swift
BIN := .build/release/martlet
VENV := .venv
PYTORCH_VENV := .venv-pytorch
PEERS_VENV := .venv-peers
BENCH_MODELS := .build/peer-models
PYTORCH_MODELS := .build/pytorch-models
PYTHON := $(VENV)/bin/python
FEED := feeds/simulated_sim1_20240102_mixed.dbn.zst
MODEL := models/default.onnx
# The run that `make train` leaves.
TRAINING := .build/train-default
# How much faster than recorded `make run` plays its feed.
SPEED ?= 1000
INPUT_PORT ?= 5556
OUTPUT_PORT ?= 5557

PACKAGES := libzmq3-dev libzstd-dev zlib1g-dev libssl-dev
TEST_PACKAGES := libboost-dev g++ xxd
# A virtual environment needs this package on Debian, and pip none of it elsewhere.
VENV_PACKAGES := $(shell python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
# ONNX's own test cases, which this version's wheel is the last to hold.
ONNX_SUITE = $(shell $(PYTHON) -c 'import importlib.util as u; print(u.find_spec("onnx").submodule_search_locations[0] + "/backend/test/data")')
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# Installs what is missing, and asks nobody for anything when all is there.
define install
	@missing=$$(for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing" $$missing; \
	$(AS_ROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(AS_ROOT) apt-get install -y -qq $$missing >/dev/null; fi
endef

.PHONY: setup
setup: ## Install the libraries that the build needs
	$(call install,$(PACKAGES))

.PHONY: setup-test
setup-test: setup $(VENV)/.stamp ## Install what the tests need beside that
	$(call install,$(TEST_PACKAGES))

$(VENV)/.stamp: python/requirements.txt python/pyproject.toml
	$(call install,python3 $(VENV_PACKAGES))
	@python3 -m venv $(VENV)
	@$(PYTHON) -m pip install -q -r python/requirements.txt
	@$(PYTHON) -m pip install -q --no-deps -e python
	@touch $@

.PHONY: build
build: setup ## Build everything for release
	@$(SWIFT) build -c release --product martlet

# The first process that fails ends the others. Two that end at once are one to `wait -n`, which then finds none (127); each is
# asked for by name afterwards.
.PHONY: run
run: build ## Play a feed through the processor and show its signals
	@trap 'kill $$(jobs -p) 2>/dev/null' EXIT; \
	$(BIN) subscribe tcp://127.0.0.1:$(OUTPUT_PORT) --once & subscriber=$$!; \
	$(BIN) run --once --model $(MODEL) --subscribers 1 --digest --evaluate-from training-end \
		--input tcp://127.0.0.1:$(INPUT_PORT) --output tcp://127.0.0.1:$(OUTPUT_PORT) > .build/run-summary.txt & \
	processor=$$!; \
	$(BIN) replay $(FEED) --output tcp://127.0.0.1:$(INPUT_PORT) --subscribers 1 --speed $(SPEED) \
		> .build/run-replay.txt & publisher=$$!; \
	for process in 1 2 3; do wait -n; status=$$?; [ $$status = 0 ] || [ $$status = 127 ] || exit $$status; done; \
	for process in $$subscriber $$processor $$publisher; do wait $$process || exit $$?; done; \
	cat .build/run-replay.txt .build/run-summary.txt

.PHONY: test
test: setup-test ## Build and run every test
	@$(SWIFT) build -c release --product martlet
	@$(SWIFT) build --build-tests
	@MARTLET_PYTHON=$(abspath $(PYTHON)) MARTLET_BIN=$(abspath $(BIN)) MARTLET_ONNX_SUITE=$(ONNX_SUITE) \
		$(SWIFT) test --skip-build
	@MARTLET_BIN=$(abspath $(BIN)) $(PYTHON) -m pytest -q -n auto --dist loadfile python/tests
	@$(MAKE) --no-print-directory fuzz-smoke
	@$(MAKE) --no-print-directory bench-smoke

# Torch has a virtual environment of its own, because of its size.
$(PYTORCH_VENV)/.stamp: python/requirements-pytorch.txt python/pyproject.toml
	$(call install,python3 $(VENV_PACKAGES))
	@python3 -m venv $(PYTORCH_VENV)
	@$(PYTORCH_VENV)/bin/python -m pip install -q -r python/requirements-pytorch.txt
	@$(PYTORCH_VENV)/bin/python -m pip install -q --no-deps -e python
	@touch $@

.PHONY: setup-pytorch
setup-pytorch: $(PYTORCH_VENV)/.stamp ## Install PyTorch, for docs/PYTORCH.md

.PHONY: test-pytorch
test-pytorch: build setup-pytorch ## Train, export and run models of PyTorch (minutes, and a gigabyte of disk)
	@$(PYTORCH_VENV)/bin/python -m pytest -q python/tests/test_pytorch_export.py
	@rm -rf $(PYTORCH_MODELS)
	@$(PYTORCH_VENV)/bin/python python/examples/pytorch_models.py --out $(PYTORCH_MODELS)
	@for model in $(PYTORCH_MODELS)/*.onnx; do \
		$(BIN) model verify $$model --json > $${model%.onnx}.json || { cat $${model%.onnx}.json; exit 1; }; \
		echo "verified $$model"; done

.PHONY: bench-build
bench-build: setup-test
	@for product in martlet ring-bench DBNBench FeatureBench; do $(SWIFT) build -c release --product $$product || exit 1; done

.PHONY: bench
bench: bench-build ## Measure everything (minutes, on a quiet machine; MARTLET_FEEDS adds recorded days)
	@Tests/Benchmarks/run.sh full $(PYTHON) $(FEED) $(MODEL)

.PHONY: bench-smoke
bench-smoke: bench-build ## Run every measurement at a tiny size, to see that it runs
	@Tests/Benchmarks/run.sh smoke $(PYTHON) $(FEED) $(MODEL) > .build/bench-smoke.txt || { cat .build/bench-smoke.txt; exit 1; }

$(PEERS_VENV)/.stamp:
	$(call install,python3 $(VENV_PACKAGES))
	@python3 -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install -q lightgbm==4.7.0
	@$(PEERS_VENV)/bin/python -m pip install -q lleaves==1.3.0 'llvmlite==0.44.*' \
		|| echo "lleaves cannot be installed here: it is left out"
	@touch $@

.PHONY: bench-peers
bench-peers: build setup-test $(PEERS_VENV)/.stamp ## Measure the engine beside its peers (minutes; PEER=COMMAND adds a program)
	@$(PYTHON) -m martlet.bench_models --out $(BENCH_MODELS) > $(BENCH_MODELS).txt
	@PEER="$(PEER)" $(PYTHON) Tests/Benchmarks/ModelPeers/compare.py $(BENCH_MODELS) --martlet $(BIN) \
		--peers-python $(PEERS_VENV)/bin/python --markdown $(BENCH_MODELS).md

.PHONY: replay
replay: build ## Publish FEED (a DBN file) for a processor, at SPEED
	@$(BIN) replay $(FEED) --output tcp://127.0.0.1:$(INPUT_PORT) --speed $(SPEED)

.PHONY: train
train: build $(VENV)/.stamp ## Train the default model anew (some minutes); one that was interrupted goes on where it stopped
	@if [ -e $(TRAINING)/report.html ]; then echo "begins anew: removes the finished run in $(TRAINING)"; rm -rf $(TRAINING); fi
	@$(PYTHON) -m martlet.training --martlet $(BIN) run python/configs/default.yaml --out $(TRAINING) --resume \
		--save $(dir $(MODEL))

.PHONY: fuzz-smoke
fuzz-smoke: setup-test ## Fuzz the decoders and the importer for some seconds each
	@Tests/Fuzz/DBN/run.sh 10
	@Tests/Fuzz/Wire/run.sh 10
	@MARTLET_ONNX_SUITE=$(ONNX_SUITE) Tests/Fuzz/ONNX/run.sh 10

.PHONY: tsan
tsan: setup-test ## Run the ring's and the pipeline's tests under ThreadSanitizer
	@TSAN_OPTIONS=halt_on_error=1 $(SWIFT) test --sanitize=thread --scratch-path .build-tsan --filter 'RingStressTests|PipelineTests'

.PHONY: lint
lint: ## Fail on any difference from the format
	@$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

.PHONY: format
format: ## Format the Swift files in place
	@$(SWIFT) format --in-place --recursive Package.swift Sources Tests

.PHONY: clean
clean: ## Remove what was built
	@rm -rf .build .build-* $(VENV) $(PYTORCH_VENV) $(PEERS_VENV)
