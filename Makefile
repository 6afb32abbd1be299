# Two commands do everything from a fresh checkout:  make run   and   make test.
# A person without `make` finds the same commands below.

VENV := .venv
STAMP := $(VENV)/.ready
# `make gpu PYTHON=python3` runs with packages that are already installed, and installs nothing.
PYTHON ?= $(VENV)/bin/python
# More arguments for pip. Without an NVIDIA GPU, the CPU index that pytorch.org names saves gigabytes:
#   make setup PIP_ARGS="--extra-index-url ADDRESS"
PIP_ARGS ?=
# How long `make gpu` trains.
GPU_MINUTES ?= 25
# How long `make soak` overloads the server.
SOAK_MINUTES ?= 10
# More arguments for the command itself: make run ARGS="--http-port 9000", make test ARGS="-k settings".
ARGS ?=
# The Python that makes the virtual environment.
BASE_PYTHON ?= python3
# What the checks and the browser tests of the console need; nothing in it is served.
BROWSER_TOOLS := clients/browser/node_modules/.package-lock.json
# Clients nobody here wrote, for the tests in tests/interop.
FOREIGN_CLIENTS := tests/interop/node_modules/.package-lock.json
# How long `make fuzz` spends on each surface.
FUZZ_SECONDS ?= 60
BUF := npx --yes --package=@bufbuild/buf@1.75.0 -- buf

ifeq ($(PYTHON),$(VENV)/bin/python)
READY := $(STAMP)
endif

.PHONY: help setup run test soak fuzz check types lint contracts proto gpu bench train measure screenshot reference wheel obs obs-install \
	clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install everything in the tested versions

$(STAMP): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	touch $@

$(BROWSER_TOOLS): clients/browser/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not installed: install Node.js 20 or later"; exit 1; }
	cd clients/browser && npm ci --no-audit --no-fund --silent
	touch $@

$(FOREIGN_CLIENTS): tests/interop/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not installed: install Node.js 20 or later"; exit 1; }
	cd tests/interop && npm ci --no-audit --no-fund --silent
	touch $@

run: $(STAMP) ## set up, then start the server with the embedded model
	exec $(VENV)/bin/cmstream serve $(ARGS)

# What drives whole programs by the clock has the machine to itself; the rest runs side by side.
WHOLE_PROGRAMS := tests/e2e tests/interop
test: $(STAMP) $(BROWSER_TOOLS) $(FOREIGN_CLIENTS) ## set up, then every test that needs no GPU
ifeq ($(strip $(ARGS)),)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest --numprocesses auto --durations 15 $(WHOLE_PROGRAMS:%=--ignore=%); beside=$$?; \
	$(VENV)/bin/pytest --durations 15 $(WHOLE_PROGRAMS) && exit $$beside
else
	$(VENV)/bin/pytest $(ARGS)
endif

soak: $(STAMP) ## overload the server threefold for SOAK_MINUTES=10; figures and a plot go to out/soak
	SOAK_MINUTES=$(SOAK_MINUTES) $(VENV)/bin/pytest -m soak tests/e2e/test_overload.py -s $(ARGS)

fuzz: $(STAMP) ## coverage-guided fuzzing with atheris, FUZZ_SECONDS=60 on each surface; findings go to out/fuzz
	$(VENV)/bin/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[fuzz]'
	for surface in offer fragment parameters message; do $(VENV)/bin/python -m tests.fuzz $$surface $(FUZZ_SECONDS) || exit 1; done

check: lint types contracts $(BROWSER_TOOLS) ## ruff, mypy strict, import contracts, protos, console, Dockerfile
	$(BUF) lint protos
	$(VENV)/bin/python protos/generate.py --check
	cd clients/browser && npm run --silent check
	$(VENV)/bin/hadolint docker/Dockerfile

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(STAMP)
	$(VENV)/bin/mypy

contracts: $(STAMP)
	$(VENV)/bin/lint-imports

proto: $(STAMP) ## regenerate cmstream/v1 from protos
	$(VENV)/bin/python protos/generate.py

gpu: $(READY) ## what needs a CUDA device: tests, benchmarks, training net M (GPU_MINUTES=25) into gpu-results
	mkdir -p gpu-results
	PYTHONPATH=. $(PYTHON) -m pytest -m gpu $(ARGS)
	PYTHONPATH=. $(PYTHON) -m cmstream bench --engine-only --device cuda --json > gpu-results/bench.json
	PYTHONPATH=. $(PYTHON) -m cmstream train --device cuda --net m --style all --batch 64 --scenes 18432 \
		--minutes $(GPU_MINUTES) --cache gpu-results/pairs --out gpu-results/painter-m.safetensors
	PYTHONPATH=. $(PYTHON) -m cmstream.cli.gpu --device cuda --side 256 --side 512 --strict --out gpu-results
	PYTHONPATH=. $(PYTHON) -m cmstream.cli.gpu_latent --device cuda --shape sd-turbo --shape sdxl-turbo --side 512 --side 384 \
		--batch 1 --batch 2 --batch 4 --batch 8 --strict --out gpu-results

bench: $(STAMP) ## measure everything into out/bench, with plots, and refresh the README's table (5 minutes)
	$(VENV)/bin/cmstream bench --out out/bench/bench.json --plots out/bench $(ARGS)
	$(VENV)/bin/python -m cmstream.cli.bench_readme out/bench/bench.json

train: $(STAMP) ## train the embedded model again (hours; resumes)
	$(VENV)/bin/cmstream train $(ARGS)

measure: $(STAMP) ## measure the embedded model beside its rivals, into out/measure: table, report, pictures (10 minutes)
	$(VENV)/bin/python -m cmstream.cli.measure $(ARGS)

screenshot: $(STAMP) $(BROWSER_TOOLS) ## the README's picture, from a real Chromium with its fake camera
	$(VENV)/bin/python clients/browser/screenshot.py $(ARGS)

reference: $(STAMP) ## write docker/cmstream.toml from the code
	$(VENV)/bin/python -m cmstream.cli.reference > docker/cmstream.toml

wheel: $(STAMP) ## build dist/*.whl
	rm -rf dist
	$(VENV)/bin/python -m build --wheel --outdir dist .

# What the OBS filter is built with: apt-get install cmake g++ libobs-dev libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc protobuf-compiler libturbojpeg0-dev
obs: ## build the OBS filter into clients/obs/build
	cmake -S clients/obs -B clients/obs/build
	cmake --build clients/obs/build --parallel

obs-install: obs ## put the OBS filter into the user's plugin folder
	cmake --install clients/obs/build

clean: ## remove what was built, and the virtual environment
	rm -rf $(VENV) .venv-protoc dist build clients/obs/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
