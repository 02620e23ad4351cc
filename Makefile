# Every target sets itself up in a fresh clone: `make demo` needs nothing but Python, make and git.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

ACCELERATOR ?=
CORES ?= $(shell nproc 2>/dev/null || echo 2)
CONFIG ?= config.yaml
BIN := .venv/bin
PYTHON := $(BIN)/python
EMJAX := $(PYTHON) -m emjax
$(if $(filter-out cuda12 cuda13,$(ACCELERATOR)),$(error ACCELERATOR: found $(ACCELERATOR), expected cuda12 or cuda13))
PIP := $(PYTHON) -m pip --disable-pip-version-check install --quiet --constraint requirements.lock

.PHONY: help env demo report status reproduce test quick lint docs pictures format dry-run lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

# The first interpreter that starts and is new enough; a version manager's stub may not start.
.venv/bin/python:
	@for python in $(if $(PYTHON_FOR_VENV),"$(PYTHON_FOR_VENV)") python3.13 python3.12 python3.11 python3 python; do \
	  if "$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "emjax needs Python 3.11 or later (with venv); none was found" >&2; exit 1; fi; \
	echo "Creating .venv with $$("$$found" --version)"; "$$found" -m venv .venv

.venv/emjax-ready: pyproject.toml setup.py requirements.lock $(wildcard emjax/*/*.[ch] emjax/*/*/*.[ch]) | .venv/bin/python
	@echo "Installing emjax and what it needs into .venv (about a minute)"
	@$(PIP) --editable ".[slurm]"
	@touch $@

.venv/emjax-dev-ready: .venv/emjax-ready
	@echo "Installing the test tools into .venv"
	@$(PIP) --editable ".[dev,slurm]"
	@touch $@

.venv/emjax-$(ACCELERATOR)-ready: .venv/emjax-ready
	@echo "Installing JAX for $(ACCELERATOR) into .venv"
	@$(PIP) --editable ".[slurm,$(ACCELERATOR)]"
	@touch $@

env: .venv/emjax-ready $(if $(ACCELERATOR),.venv/emjax-$(ACCELERATOR)-ready)  ## the environment in .venv; ACCELERATOR=cuda12 or cuda13 for a GPU
	@$(PYTHON) -c 'import logging; logging.getLogger("jax").setLevel(logging.CRITICAL); import jax; from emjax.classify.operators.backend import describe_backend; print("emjax is ready in .venv; JAX", jax.__version__, "on", *sorted({d.platform for d in jax.devices()}), "with the engine", describe_backend())$(if $(ACCELERATOR),; jax.default_backend() == "cpu" and print("JAX sees no GPU on this machine (a login node may have none)"))'

demo: .venv/emjax-ready  ## simulate particles, run the demo campaign, say what was found
	@$(EMJAX) demo --config config.yaml -- --cores $(CORES)

status: .venv/emjax-ready  ## where a campaign stands: make status CONFIG=my.yaml
	@$(EMJAX) status $(CONFIG)

reproduce: .venv/emjax-ready  ## run a finished campaign again: make reproduce CAMPAIGN=results/demo/campaign.json
	@$(EMJAX) reproduce $(CAMPAIGN) -- --cores $(CORES)

report: .venv/emjax-ready  ## Snakemake's own report of a finished campaign: snakemake-report.zip, here
	@$(EMJAX) report $(CONFIG) --snakemake

test: .venv/emjax-dev-ready  ## all tests
	@$(PYTHON) -m pytest -n $(CORES) --dist loadfile

quick: .venv/emjax-dev-ready  ## the quick tests (about 3 minutes)
	@$(PYTHON) -m pytest -n $(CORES) --dist loadfile -m "not slow"

lint: .venv/emjax-dev-ready  ## formatting, style, types, import contract, workflow
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	EMJAX_VERBOSE=1 $(PYTHON) -m snakemake --lint
	$(PYTHON) -m snakemake --dry-run --quiet all

docs: .venv/emjax-dev-ready  ## the documents as a site, site/index.html; no network, warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html (to search in it: $(PYTHON) -m http.server -b 127.0.0.1 -d site)"

pictures: .venv/emjax-dev-ready demo  ## renew the pictures of the documents: runs four small campaigns (minutes), needs Chromium
	@$(PYTHON) -m docs.make_pictures

format: .venv/emjax-dev-ready  ## format Python and Snakemake files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

dry-run: .venv/emjax-ready  ## what a campaign would run, and what it would cost
	@$(EMJAX) run $(CONFIG) --verbose --dry-run
	@$(EMJAX) estimate $(CONFIG)

lock:  ## renew requirements.lock from a fresh Python 3.11
	rm -rf .venv-lock && python3.11 -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable ".[dev,slurm]"
	.venv-lock/bin/python -m pip freeze --exclude-editable | grep -v '^#' > requirements.lock
	rm -rf .venv-lock

clean:  ## remove the demo's data and results (not .venv)
	rm -rf data/demo results/demo logs/demo checkpoints/demo
