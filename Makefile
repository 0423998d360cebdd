# `make demo` and `make test` need git, make, Python 3.11 to 3.13 and network to PyPI; the rest says what it needs.
.DEFAULT_GOAL := help
SLIPWAY_VENV ?= .venv
export SLIPWAY_VENV
BIN := $(SLIPWAY_VENV)/bin

.PHONY: help
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

.PHONY: demo
demo: environment ## the whole platform as plain processes, with sample files landed (ONCE=1: end after the result)
	@$(BIN)/slipway demo

.PHONY: up
up: environment ## the platform in containers, with sample files landed
	@scripts/compose-up.sh

.PHONY: down
down: ## stop and remove the containers, of runs too (VOLUMES=1: and the data)
	@scripts/compose-down.sh

.PHONY: cluster-up
cluster-up: environment ## the platform on the Kubernetes cluster that kubectl reaches, with sample files landed
	@scripts/cluster-up.sh

.PHONY: cluster-down
cluster-down: ## uninstall it from there (VOLUMES=1: and remove the data and the namespace)
	@scripts/cluster-down.sh

.PHONY: test
test: environment-dev ## every test that this machine can run (REQUIRE=docker,kubernetes: neither is optional)
	@$(BIN)/python tests/suites.py

.PHONY: test-fast
test-fast: environment-dev ## the tests that need no services, in under a minute
	@$(BIN)/python tests/suites.py unit

.PHONY: chaos
chaos: environment-dev ## ten minutes of killing everything while 10 000 files land (CHAOS_SEED=n repeats one)
	@CHAOS_FILES=$${CHAOS_FILES:-10000} CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(BIN)/python tests/suites.py chaos

.PHONY: check
check: environment-dev ## formatter, linter, types; locks, generated files and documentation fresh
	@$(BIN)/python tests/suites.py check

.PHONY: format
format: environment-dev ## format the code and write every generated file
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .
	@$(BIN)/slipway schema --write
	@$(BIN)/slipway compose
	@$(BIN)/python tests/references.py
	@$(BIN)/python tests/chart_snapshot.py

.PHONY: lock
lock: environment-dev ## resolve the locks again
	@scripts/lock.sh

.PHONY: bench
bench: environment-dev ## measure against stock Dagster, in containers, in 20 minutes (ONLY=launch, QUICK=1, PUBLISH=1)
	@BENCH_QUICK=$(QUICK) BENCH_PUBLISH=$(PUBLISH) $(BIN)/python -m bench $(ONLY)

.PHONY: environment environment-dev
environment:
	@scripts/environment.sh laptop
environment-dev:
	@scripts/environment.sh dev

.PHONY: clean
clean: ## forget the environment and the laptop's state
	@rm -rf $(SLIPWAY_VENV) .slipway
