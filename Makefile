# Two commands set up everything they need in .venv: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo test soak check docs clean

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

help:
	@echo "make demo    ingest Python's own reference documentation, search it, answer questions with citations"
	@echo "make test    run the tests"
	@echo "make soak    run the long forms of the tests that kill, fill and mistreat the database: half an hour"
	@echo "make check   lint, types and import contracts"
	@echo "make docs    build the documentation into docs/_build/html"

demo: .venv/.demo
	@HF_HUB_OFFLINE=1 .venv/bin/embedpipe demo

test: .venv/.dev
	$(VENV_PYTHON) -m pytest

soak: .venv/.dev
	EMBEDPIPE_SOAK=1 $(VENV_PYTHON) -m pytest tests/integration/test_crashes.py tests/integration/test_hostile.py

check: .venv/.dev
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy
	$(VENV_PYTHON) -m importlinter.cli

docs: .venv/.dev
	$(VENV_PYTHON) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

clean:
	rm -rf .venv docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/.demo: .venv/.python pyproject.toml constraints.txt
	@echo "Installing embedpipe and what the demo needs into .venv (minutes the first time)"
	$(PIP) --editable '.[embedded,local,cli]' --group demo
	@touch $@

.venv/.dev: .venv/.python pyproject.toml constraints.txt
	@echo "Installing embedpipe and the development tools into .venv (minutes the first time)"
	$(PIP) --editable '.[all]' --group dev
	@touch $@
