# Every target does its own set-up. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAISS := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),gpu,cpu)
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: demo test soak check format schema bench help

demo: $(VENV)/.worker  ## run the main job on the photos in demo/ and say where the report lies
	$(BIN)/framesift demo

test: $(VENV)/.dev  ## run all tests (browser tests skip where Chromium is absent)
	$(BIN)/python -m pytest

soak: $(VENV)/.dev  ## run 200 small jobs through two workers that are killed at random
	$(BIN)/python -m tests.faults.soak

check: $(VENV)/.dev  ## lint, format check, types, import contracts; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.dev  ## write the JSON Schemas in docs/ anew
	$(BIN)/framesift schema > docs/job.schema.json
	$(BIN)/python -c 'import json; from worker.facts import Facts; print(json.dumps(Facts.model_json_schema(), indent=2))' > docs/report.schema.json

bench: $(VENV)/.dev  ## measure side by side with peers and print ratios (half an hour)
	$(BIN)/python -m benchmarks

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "framesift needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Creating a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.worker: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing framesift with PyTorch and faiss-$(FAISS) into $(VENV) (several GB; minutes)"
	$(PIP) --editable '.[worker,$(FAISS)]'
	@touch $@

$(VENV)/.dev: $(VENV)/.worker
	@echo "Installing the tools for tests and checks into $(VENV)"
	$(PIP) --editable '.[worker,$(FAISS),dev]'
	@touch $@
