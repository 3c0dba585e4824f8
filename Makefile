# make demo | test | bench | torture | coverage | check | lint | types | clean
# Everything happens in .venv; nothing needs root, nor a network but the package index.

# The first Python of at least 3.11, or the one you name: make PYTHON=python3.13 test
PYTHON ?= $(firstword $(shell for python in python3 python3.14 python3.13 python3.12 \
	python3.11; do $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$python; done))

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Twisted finds our plugins in the checkout even where it is not installed.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
# One process a core; a file of tests stays in one.
PYTEST_ARGUMENTS ?= -n auto --dist loadfile
# For example --quick, or --scenarios login,search; all of them: --help.
BENCH_ARGUMENTS ?=

# Of all harnesses together.
SECONDS ?= 600
# For example --only crash, or --seed 17; all of them: --help.
TORTURE_ARGUMENTS ?=

.PHONY: demo test bench torture coverage check lint types clean

demo: $(VENV)/.run
	@exec $(BIN)/python -m scripts.demo

test: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST_ARGUMENTS)

# Beside Dovecot and Courier, where .ci/peers installed them.
bench: $(VENV)/.test
	@$(BIN)/python -m benchmarks $(BENCH_ARGUMENTS)

# The harnesses of tests/torture, for longer than the tests run them.
torture: $(VENV)/.test
	@$(BIN)/python -m tests.torture --seconds $(SECONDS) $(TORTURE_ARGUMENTS)

# Of the branches of protocol and storage, those that the tests take.
coverage: $(VENV)/.coverage
	@$(BIN)/python -m tests.torture --only covered --seconds 3600

check: lint types test

lint: $(VENV)/.check
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.check
	@$(BIN)/mypy

clean:
	@rm -rf $(VENV) demo build dist *.egg-info _trial_temp* twisted/plugins/dropin.cache \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find imapd scripts tests twisted benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "no Python 3.11 or later found; name one: make PYTHON=..." >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.coverage: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) install --editable '.[test,coverage]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.check: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) install --editable '.[test,check]'
	@touch $@ $(VENV)/.test $(VENV)/.run
