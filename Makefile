# Everything a developer types. PYTHON picks the interpreter the environment is made from.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check unit soak bench bench-supervision bench-router bench-adb clean

run: .venv/installed
	$(BIN)/atek up manifests/examples --home $${ATEK_HOME:-.atek}

test: check unit

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/installed-dev
	$(BIN)/pytest -n auto --dist loadgroup

soak: .venv/installed-dev
	$(BIN)/pytest -m soak --timeout 3600 tests/sim tests/reconciler tests/runtimes/router

bench: bench-supervision bench-router bench-adb

bench-supervision: .venv/installed-dev
	$(BIN)/python -m tests.bench

bench-router: .venv/installed-dev
	$(BIN)/python -m tests.bench.router

bench-adb: .venv/installed-dev
	$(BIN)/python -m tests.bench.adb

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	touch .venv/installed $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
