# Everything sets itself up: a virtual environment with pinned dependencies, made once and remade when a lock changes.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow lint docs check lock clean

demo: $(VENV)/.run  ## Train Hybrid-PSC and plain cross-entropy on a small long tail, and compare them.
	$(BIN)/longtail demo

test: $(VENV)/.dev  ## Run all tests but the few slow ones.
	$(BIN)/python -m pytest

slow: $(VENV)/.dev  ## Run the slow tests.
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev  ## Check style, types and the direction of imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## Build the documentation; a broken link is an error.
	$(BIN)/mkdocs build --strict

check: lint docs test slow  ## All that CI checks.

# CUDA's packages are left out: torch pins them itself, and only where they exist. Nothing newer than held.txt says.
COMPILE := $(BIN)/pip-compile --quiet --no-header --no-annotate --strip-extras --no-emit-find-links \
	--no-emit-index-url --constraint requirements/held.txt --output-file
lock: $(VENV)/.dev  ## Pin the newest versions that pyproject.toml and requirements/held.txt allow.
	$(COMPILE) requirements/new.txt pyproject.toml
	grep -vE '^(nvidia|cuda|triton)' requirements/new.txt > requirements/run.txt
	rm requirements/new.txt
	$(COMPILE) requirements/new.txt --constraint requirements/run.txt --extra dev pyproject.toml
	grep -vE '^(nvidia|cuda|triton)' requirements/new.txt > requirements/dev.txt
	rm requirements/new.txt

$(VENV)/.run: requirements/run.txt pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || python3 -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements/dev.txt
	touch $@

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .hypothesis
