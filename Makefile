# Everything below works on a fresh machine with python3 (3.11 to 3.13) and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test test-all check format bench docs clean

# Make .venv with the exact versions of requirements.lock.
install: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	touch $(STAMP)

# Run the whole pipeline on the demo company, into ./demo-out.
demo: install
	rm -rf demo-out
	$(BIN)/finops demo --out demo-out

# Run the tests: under five minutes on two cores, no network, no credentials.
test: install
	$(BIN)/pytest -m 'not slow' -n 2 --dist worksteal --hypothesis-profile=quick

# Run every test, also those that need minutes or packages of the operating system.
test-all: install
	$(BIN)/pytest -n 2

# Lint, type-check, and hold the imports against the house rules.
check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Bring the code into the house format.
format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Measure speed and memory against the named peers, on one generated bill of 5 million rows.
bench: install
	$(BIN)/python benchmarks/bench.py

# Write the README's command help and demo output anew, and the FOCUS conformance page.
docs: install
	$(BIN)/python docs/refresh.py
	$(BIN)/python docs/conformance.py

clean:
	rm -rf .venv .venv-focus-validator* demo-out bench build dist
