PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-slow lint

demo: .venv/installed
	$(BIN)/lincae demo

test: lint
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[pictures]"
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lincae

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
# The authors' package, which the tests compare with: without its dependencies, as it asks for NumPy 1.
	$(BIN)/pip install --disable-pip-version-check --no-deps linear-cae==0.1.4
	touch $@
