# make quickstart   set up, then pretrain, use and report a small multimodal model (15 minutes)
# make test         set up, then run every test (about 11 minutes on 2 cores)
# make quick        set up, then run all but the slow ones, in every folder: a minute on 2 free cores
# make check        lint, types and the direction of imports
# make docs         write docs/settings.md anew from the settings and their docstrings
# make bench        the numbers that README shows

PYTHON ?= python3
BIN := .venv/bin
# One more than there are cores, since tests of several ranks and of servers wait for others.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(8, 1 + (os.cpu_count() or 1)))')
# Tests of a file share what they make; tests/conftest.py says in which order files are handed out.
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test quick check docs bench clean

quickstart: .venv/installed
	$(BIN)/chiasm quickstart $(ARGS)

test: .venv/installed
	$(PYTEST) $(ARGS)

quick: .venv/installed
	$(PYTEST) -m "not slow" $(ARGS)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_structure.py

docs: .venv/installed
	$(BIN)/python docs/settings.py

bench: .venv/installed
	$(BIN)/python benchmarks/stream.py
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/rollout.py
	$(BIN)/python benchmarks/busy.py

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "chiasm needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
