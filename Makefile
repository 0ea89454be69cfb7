# Two commands are enough: `make run` and `make test`. Written for GNU make 3.81 and later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test check lint-sql docs ui sql seeds lock clean help
.DEFAULT_GOAL := help

help: ## What there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /|/' | awk -F'|' '{printf "make %-8s %s\n", $$1, $$2}'

# uv installs in seconds what takes pip minutes; it lives in the environment that it fills, and trusts
# the certificates that the machine trusts. Compiled once, here: where PYTHONDONTWRITEBYTECODE is set, as
# in many images, every command would compile some 3,000 modules for itself, which takes seconds.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Mainstem needs Python 3.11 to 3.13, and %s is %d.%d: make run PYTHON=python3.12" % (sys.executable, *v))'
	@echo "Installing into $(VENV) (once; a minute or less)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || (echo "Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv" && exit 1)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -E '^uv==' requirements.lock | sed 's/ .*//')"
	@$(BIN)/uv pip install --system-certs --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	@$(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q -j 0 audiences identity ingestion orchestration reverse_etl
	@touch $(INSTALLED)

run: $(INSTALLED) ## The whole road on the sample company: load, model, resolve, publish, sync
	@$(BIN)/mainstem run

test: $(INSTALLED) ## Everything: lint, types, architecture, and all tests
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

check: $(INSTALLED) ## Lint, types and architecture alone
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Apart from `check`: the dbt templater compiles every model, which takes a minute.
lint-sql: $(INSTALLED) ## Lint the SQL of the models (sqlfluff with the dbt templater; a minute)
	@MAINSTEM_WAREHOUSE=$$(mktemp -d)/lint.duckdb PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

docs: $(INSTALLED) ## dbt's documentation as one static page
	@$(BIN)/mainstem docs

ui: $(INSTALLED) ## Dagster on http://127.0.0.1:3000
	@$(BIN)/mainstem ui

sql: $(INSTALLED) ## A prompt on the published file
	@$(BIN)/mainstem sql

seeds: $(INSTALLED) ## Make the sample company again, byte for byte
	@$(BIN)/python -m seeds.generate

lock: $(INSTALLED) ## Pin what pyproject.toml asks for into requirements.lock
	@$(BIN)/uv pip compile --system-certs --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-header --no-annotate pyproject.toml --output-file requirements.lock

clean: ## Delete the environment and the data; asks before what cannot be rebuilt
	@if [ -d data ]; then \
		printf 'data/ holds customer ids, the sync ledger and history, which cannot be rebuilt. Delete it? [y/N] '; \
		read answer || answer=n; [ "$$answer" = y ] || { echo; echo "Kept everything."; exit 1; }; \
	fi
	@rm -rf data $(VENV) dbt_project/target dbt_project/logs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
