# The commands of the README; each sets up what it needs.

PYTHON   ?= python3
VENV     ?= .venv
DURATION ?= 30s
BIN      := $(VENV)/bin
READY    := $(VENV)/.installed

# Tests start hundreds of processes, which need not compile the same modules each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: stress test lint types clean

stress: $(READY)
	$(BIN)/testbed stress kprobe_storm --cpus 4 --duration $(DURATION)
	$(BIN)/testbed stress real_library --cpus 4 --duration $(DURATION)

test: $(READY)
	$(BIN)/pytest -n auto --dist worksteal tests

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Installed once, and again when the dependencies may have changed.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "$(PYTHON): Python 3.11 or later is needed: make PYTHON=python3.12, for example" >&2; exit 2; }
	@for c in $${CC:-cc gcc clang}; do command -v $$c && break; done | grep -q . || { echo \
	  "no C compiler found (looked for cc, gcc, clang): install one, for example: apt install gcc" \
	  >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "$(PYTHON): the venv module is missing: install it, for example: apt install python3-venv" \
	  >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
