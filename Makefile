# Everything a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
OUT ?= out/demo

.PHONY: setup demo test test-interop lint types imports format bench bench-peers docs cifar10 clean

setup: $(VENV)/.dev

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: setup  ## the whole path on bundled data; ends with a summary and out/demo/report.html
	$(BIN)/offramp demo --output $(OUT)

test: setup  ## all tests: units, properties, docs and README, real processes
	$(BIN)/python -m pytest

test-interop: setup  ## tritonclient against our tiers; our device with Triton and MLServer (their environments: out/interop)
	$(BIN)/python -m tests.interop.environments
	OFFRAMP_INTEROP=1 $(BIN)/python -m pytest tests/interop

lint: setup types imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## ratios against named baselines, stored in benchmarks/results/
	$(BIN)/python -m benchmarks all --store

bench-peers: setup  ## our tier beside Triton, MLServer, LitServe, BentoML and Ray Serve (environments: out/interop)
	$(BIN)/python -m tests.interop.environments triton-server mlserver ray litserve bentoml
	$(BIN)/python -m benchmarks serving --store

docs: setup  ## run every code block of the README and the docs
	$(BIN)/python -m pytest tests/docs

cifar10: setup  ## train the CIFAR-10 cascade again (needs OFFRAMP_DATA; resumable)
	$(BIN)/offramp build examples/cifar10/config.toml --output out/cifar10/resnet8.cascade --resume --overwrite

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
