# `make serve` runs Switchyard, `make test` proves it. Both start from nothing.

PYTHON ?= python3
PIP_OPTIONS ?=
PYTEST_OPTIONS ?= --quiet --numprocesses 2 --dist worksteal
# What takes long is for CI, which sets CI=true; `make test SLOW=1` runs it by hand.
SLOW ?= $(CI)
QUICK := $(if $(SLOW),,not slow)
# The clients that tests call the gateway with have environments of their own.
CLIENTS := $(if $(SLOW),clients)
# On PostgreSQL, CI repeats all tests that touch the database; by hand those of writing and locking.
POSTGRES_TESTS := $(if $(SLOW),,tests/background tests/configuration tests/decisions tests/limits \
	tests/gateway/test_key_limits.py tests/rollouts tests/shadow tests/storage)
VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_OPTIONS)

.PHONY: clients serve demo test lint types migrations-check deploy-check test-sqlite test-postgres mutants bench bench-pages screenshots help

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

serve: $(VENV)/installed .env ## Install, migrate, seed and start the server
	@$(MANAGE) prepare
	@exec $(BIN)/gunicorn

demo: $(VENV)/installed .env ## Look around: thirty simulated days in a database of their own, and the server
	@$(MANAGE) demo
	@DEMONSTRATION=true exec $(BIN)/gunicorn

test: $(VENV)/installed-dev $(CLIENTS) lint types migrations-check deploy-check test-sqlite test-postgres ## Lint, types and tests; SLOW=1 adds what else CI runs

lint: $(VENV)/installed-dev
	$(BIN)/ruff check --output-format concise
	$(BIN)/ruff format --check --quiet
	$(BIN)/python scripts/check_english.py

types: $(VENV)/installed-dev
	$(BIN)/mypy

clients: .venv-clients/installed .venv-llamaindex/installed tests/clients/node_modules/installed ## Install the clients that slow tests call the gateway with

.venv-clients/installed: requirements-clients.txt
.venv-llamaindex/installed: requirements-clients-llamaindex.txt
.venv-%/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_OPTIONS) -r $<
	@touch $@

tests/clients/node_modules/installed: tests/clients/package.json
	@if command -v npm >/dev/null; then \
		cd tests/clients && npm install --no-audit --no-fund --no-package-lock && touch node_modules/installed; \
	else \
		echo "SKIPPED: NO NPM. Tests of clients for Node are skipped."; \
	fi

migrations-check: $(VENV)/installed-dev
	SECRET_KEY=$${SECRET_KEY:-check-only} $(MANAGE) makemigrations --check --dry-run

deploy-check: $(VENV)/installed-dev
	SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(60))") HTTPS=1 HSTS_SECONDS=31536000 \
		$(MANAGE) check --deploy --fail-level WARNING

test-sqlite: $(VENV)/installed-dev
	DATABASE_URL=sqlite:///switchyard-test.sqlite3 $(BIN)/python -m pytest $(PYTEST_OPTIONS) -m "$(QUICK)"

test-postgres: $(VENV)/installed-dev
	@url=$$($(BIN)/python scripts/find_postgres.py) || exit 1; \
	if [ -n "$$url" ]; then \
		echo "Tests that touch the database, again on PostgreSQL (all of them with SLOW=1)"; \
		DATABASE_URL=$$url $(BIN)/python -m pytest $(POSTGRES_TESTS) $(PYTEST_OPTIONS) -m "database and not browser$(if $(QUICK), and $(QUICK))"; \
	else \
		echo "SKIPPED: NO POSTGRESQL ANSWERS. Set TEST_DATABASE_URL to run the database tests on it."; \
	fi

mutants: $(VENV)/installed-dev ## Change core and analysis at random and see whether tests notice (MUTANTS=24|all, SEED, ONLY)
	@DATABASE_URL=sqlite:///switchyard-test.sqlite3 MUTANTS=$(MUTANTS) SEED=$(SEED) $(BIN)/python scripts/mutants.py $(ONLY)

bench: $(VENV)/installed-dev ## Measure speed; writes benchmarks/results/latest.json
	$(BIN)/python -m benchmarks.bench

bench-pages: $(VENV)/installed-dev ## Measure pages with a million decisions; takes minutes (bench --pages does both)
	$(BIN)/python -m benchmarks.pages

screenshots: $(VENV)/installed-dev .env ## Take the pictures of README and docs, of the demonstration, in Chromium
	@$(MANAGE) demo
	@DEMONSTRATION=true $(BIN)/python scripts/screenshots.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt requirements-core.txt requirements-routellm.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements.txt requirements-core.txt requirements-routellm.txt requirements-dev.txt | $(VENV)/bin/python
	$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/installed

.env: | $(VENV)/bin/python
	@$(BIN)/python -m routing_site.env_file
