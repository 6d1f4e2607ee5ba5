# `make run` and `make test` need Python 3.11 to 3.13, make and a package index; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run example demo-weights ui test lint types unit test-slow docs lock bench \
  bench-against clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv and install the pinned dependencies and the package

# One pip call: a second one could undo what the first one resolved.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	  else "segtrans: error: Python %d.%d found, 3.11 to 3.13 needed; use make PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP)  ## run the default preset (laptop) and print its table
	@$(BIN)/snakemake --quiet rules host
	@$(BIN)/segtrans summary results/laptop

# Made once: the same files each time, and what is there is never written over.
example: $(STAMP)  ## make pictures with defects, train three methods on them, print the table
	@test -d data/example || $(BIN)/segtrans example data/example
	@$(BIN)/segtrans fit data/example --output results/example \
	  --methods segmentation_only,autoencoder,translation --iterations 400

# The same weights on processors of the same kind; segtrans/demo/runs/*/run.json says which it was.
demo-weights: $(STAMP)  ## train the weights that `segtrans demo` uses once more: 20 minutes
	@test -d data/example || $(BIN)/segtrans example data/example
	@$(BIN)/snakemake --quiet rules host --configfile config/demo.yaml
	@for task in pictures brats; do for file in run.json metrics.json history.jsonl labelled_ids.json weights.safetensors; do \
	  install -D -m 644 results/demo/$$task/translation/seed0/$$file \
	    segtrans/demo/runs/$$task/$$file; done; done

ui: $(STAMP)  ## compare the runs in MLflow
	@$(BIN)/segtrans ui

test: lint types unit  ## lint, types and the test suite

lint: $(STAMP)  ## ruff, snakefmt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

# A file's tests stay in one process: what they set up together is made once. Three, since some only wait.
unit: $(STAMP)  ## the fast tests
	$(BIN)/pytest --numprocesses 3 --dist loadfile

test-slow: $(STAMP)  ## the slow tests
	$(BIN)/pytest -m slow --numprocesses 2 --dist loadfile

docs: $(STAMP)  ## write config/README.md and docs/dependencies.md anew, and the site, build/site
	$(BIN)/python -m segtrans.config.manual > config/README.md
	$(BIN)/python docs/dependencies.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . build/site

# Every file of every package by its SHA-256, for the containers; versions are those of constraints.txt.
lock: $(STAMP)  ## write containers/requirements.lock anew; needs uv
	$(BIN)/uv pip compile pyproject.toml --constraint constraints.txt --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --quiet --custom-compile-command 'make lock' --output-file containers/requirements.lock

bench: $(STAMP)  ## measure speed and memory; results/bench.json
	$(BIN)/python -m benchmarks

bench-against: $(STAMP)  ## a prediction and updates beside another commit's: REV=e025b92
	$(BIN)/python -m benchmarks.against $(REV)

clean:  ## remove the environment and caches; data and results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
