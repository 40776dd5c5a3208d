# Everything a developer types. PYTHON picks the interpreter the environment is made from.
PYTHON ?= python3
BIN := .venv/bin
# The Hypercore daemon, and the Node that runs it: the machine's own where it will do, else the environment's.
DAEMON := hyper/daemon
NODE = $$($(BIN)/python -c 'from runtimes.packages.node import find_node; print(find_node().node)')
NPM = $$($(BIN)/python -c 'from runtimes.packages.node import find_node; print(find_node().npm)')

# One more than there are processors: much of the time a test waits for real programs.
WORKERS = $$(($$(getconf _NPROCESSORS_ONLN) + 1))

.PHONY: run test check unit unit-daemon soak programs bench bench-supervision bench-router bench-hyper bench-adb bench-docker bench-git bench-sandbox bench-afar bench-versions clean

run: .venv/installed
	$(BIN)/atek up manifests/examples --home $${ATEK_HOME:-.atek}

test: check unit-daemon unit

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/installed-dev $(DAEMON)/node_modules/.installed
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

unit-daemon: $(DAEMON)/node_modules/.installed
	node=$(NODE) && cd $(DAEMON) && exec "$$node" --test test/

soak: .venv/installed-dev
	$(BIN)/pytest -m soak --timeout 3600 tests/sim tests/reconciler tests/runtimes/router tests/fuzz

programs: .venv/installed-dev
	ATEK_TEST_PROGRAMS=required $(BIN)/pytest -m 'programs or not programs' tests/programs

bench: bench-supervision bench-router bench-hyper bench-adb bench-docker bench-git bench-sandbox bench-afar bench-versions

bench-supervision: .venv/installed-dev
	$(BIN)/python -m tests.bench

bench-router: .venv/installed-dev
	$(BIN)/python -m tests.bench.router

bench-hyper: .venv/installed-dev $(DAEMON)/node_modules/.installed
	$(BIN)/python -m tests.bench.hyper

bench-adb: .venv/installed-dev
	$(BIN)/python -m tests.bench.adb

bench-docker: .venv/installed-dev
	$(BIN)/python -m tests.bench.docker

bench-git: .venv/installed-dev
	$(BIN)/python -m tests.bench.git

bench-sandbox: .venv/installed-dev
	$(BIN)/python -m tests.bench.sandbox

bench-afar: .venv/installed-dev $(DAEMON)/node_modules/.installed
	$(BIN)/python -m tests.bench.afar

bench-versions: .venv/installed-dev
	$(BIN)/python -m tests.bench.versions

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	touch .venv/installed $@

$(DAEMON)/node_modules/.installed: $(DAEMON)/package-lock.json $(DAEMON)/.npmrc $(DAEMON)/build.js | .venv/installed-dev
	node=$(NODE) && npm=$(NPM) && cd $(DAEMON) && PATH="$$(dirname "$$node"):$$PATH" && \
		"$$node" "$$npm" ci --loglevel=error && "$$node" build.js
	touch $@

clean:
	rm -rf .venv $(DAEMON)/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
