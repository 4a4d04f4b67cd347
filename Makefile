# One virtual environment inside the checkout; nothing outside it changes.
PYTHON ?= python3
VENV := .venv
BIN := $(if $(filter Windows_NT,$(OS)),$(VENV)/Scripts,$(VENV)/bin)
READY := $(VENV)/ready
BENCH := $(VENV)/bench-ready
CHROMIUM := $(VENV)/chromium-path
SOAK_SCALE ?= 1

# Without its bytecode each Python that a test or benchmark starts would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
# The pip that builds the package takes no options of ours; it too is to write nothing into the home folder.
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test soak chromium lint format pictures sample bench clean

help:  ## show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"sessionlab needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Try: make PYTHON=/path/to/python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(READY)

# What is only measured beside is kept out of the environment of who does not measure.
$(BENCH): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	@touch $(BENCH)

$(CHROMIUM): $(READY)
	$(BIN)/python scripts/find_chromium.py

demo: $(READY)  ## show real frames of the sample store
	@$(BIN)/python scripts/demo.py

test: $(READY) $(CHROMIUM)  ## run every test
	$(BIN)/python -m pytest

soak: $(READY)  ## run the long tests of faults, about 20 minutes; SOAK_SCALE=0.05 is a short one
	SOAK_SCALE=$(SOAK_SCALE) $(BIN)/python -m pytest -m soak tests

chromium: $(READY)  ## look anew for the browser that tests and pictures need, and install one where there is none
	$(BIN)/python scripts/find_chromium.py

lint: $(READY)  ## formatting, style, types, and that imports point down
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy conftest.py
	$(BIN)/python scripts/check_imports.py

format: $(READY)  ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pictures: $(READY) $(CHROMIUM)  ## make the pictures of the README anew
	$(BIN)/python scripts/make_pictures.py

sample: $(READY)  ## make the sample histories anew
	$(BIN)/python sample_data/make_sample.py

bench: $(BENCH) $(CHROMIUM)  ## measure beside what people use today
	$(BIN)/python -m benchmarks

clean:  ## remove what the other targets made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
