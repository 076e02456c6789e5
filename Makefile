# Two commands set up everything they need in .venv: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-web test-wheel test-release soak check docs clean

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
LOWEST := $(shell grep -E '^(sqlalchemy|pgvector)==' tests/release/lowest.txt)
ON_SQLALCHEMY := $(addprefix tests/integration/test_,$(addsuffix .py,filters ingest lexical reembed store tenants))
RANDOM := crashes hostile filters key_order store
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

help:
	@echo "make demo    ingest Python's own reference documentation, search it, answer questions with citations"
	@echo "make test    run the tests"
	@echo "make test-lowest  run what stands on SQLAlchemy with the lowest version of it"
	@echo "make test-web  run the tests that need npm and Chromium: the server's page, the JavaScript clients"
	@echo "make soak    run the long forms of the tests that inject faults or draw their input: half an hour"
	@echo "make check   lint, types and import contracts"
	@echo "make test-wheel  build the wheel, and try it without extras in a fresh environment"
	@echo "make test-release  try the wheel in fresh environments: every extra, the lowest and newest versions; half an hour"
	@echo "make docs    build the documentation into docs/_build/html"

demo: .venv/.demo
	@HF_HUB_OFFLINE=1 .venv/bin/embedpipe demo

test: .venv/.dev
	$(VENV_PYTHON) -m pytest

test-lowest: .venv/.lowest
	PYTHONPATH=.venv/lowest $(VENV_PYTHON) -m pytest -W default $(ON_SQLALCHEMY)

test-web: .venv/.web
	$(VENV_PYTHON) -m pytest tests/web

soak: .venv/.dev
	EMBEDPIPE_SOAK=1 $(VENV_PYTHON) -m pytest tests/faults tests/unit $(addprefix tests/integration/test_,$(addsuffix .py,$(RANDOM)))

test-wheel: .venv/.dev
	$(VENV_PYTHON) tests/release/check.py contents bare --pythons $(PYTHON)

test-release: .venv/.dev
	$(VENV_PYTHON) tests/release/check.py

check: .venv/.dev
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports

docs: .venv/.dev
	$(VENV_PYTHON) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

clean:
	rm -rf .venv docs/_build tests/web/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/.demo: .venv/.python pyproject.toml constraints.txt
	@echo "Installing embedpipe and what the demo needs into .venv (minutes the first time)"
	$(PIP) --editable '.[embedded,onnx,cli]' --group demo
	@touch $@

.venv/.dev: .venv/.python pyproject.toml constraints.txt
	@echo "Installing embedpipe and the development tools into .venv (minutes the first time)"
	$(PIP) --editable '.[all]' --group dev
	@touch $@

.venv/.lowest: .venv/.dev tests/release/lowest.txt
	$(PIP) --upgrade --no-deps --target .venv/lowest $(LOWEST)
	@touch $@

.venv/.web: .venv/.dev tests/web/package.json
	@echo "Installing a browser's driver and the JavaScript clients"
	@command -v npm > /dev/null || { echo "npm is needed here: install Node.js 20 or newer."; exit 1; }
	@for program in $$EMBEDPIPE_CHROMIUM $(BROWSERS); do command -v $$program > /dev/null && exit 0; done; \
	{ apt-get update -qq && apt-get install -qq --no-install-recommends chromium; } || \
	{ echo "Chromium is needed here: install it, or name it in EMBEDPIPE_CHROMIUM."; exit 1; }
	$(PIP) --group web
	npm install --prefix tests/web --no-package-lock --no-audit --no-fund --silent
	@touch $@
