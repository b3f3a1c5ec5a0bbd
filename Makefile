# The doors of the lakehouse. `make help` lists them; each calls a command that
# you can also call yourself after `source infra/activate.sh`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3.11
# A second stack beside the first has an env file of its own.
ENV_FILE ?= .env
export ENV_FILE

# What the last `make up` chose; before the first one, docker if an engine answers.
setting = $(shell sed -n 's/^$(1)=//p' $(ENV_FILE) 2>/dev/null)
ENGINE = $(shell docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1 && echo docker)
RUNTIME := $(or $(call setting,RUNTIME),$(ENGINE),native)
# `make up AIRFLOW=0` leaves Airflow out until `make up AIRFLOW=1`.
AIRFLOW := $(or $(call setting,AIRFLOW),1)

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/loan-lakehouse
UV_VERSION := $(shell sed -n 's/^uv = "\(.*\)"/\1/p' infra/versions.toml)
UV := $(CACHE)/uv-$(UV_VERSION)/uv
export UV_PYTHON_DOWNLOADS := never
# Ten seconds, once. Else, where PYTHONDONTWRITEBYTECODE is set, every command would compile
# what it imports: dbt and Feast for seconds each.
export UV_COMPILE_BYTECODE := 1

# Touched when an environment is complete: a folder alone may be half made.
VENV := .venv/.ready
AIRFLOW_VENV := .venv-airflow/.ready
BENCH_VENV := .venv-bench/.ready
LAKEHOUSE := .venv/bin/python -m infra
STACK := .venv/bin/python -m infra.$(RUNTIME)
# Stored before anything starts; a service that is named is started in any case.
STORE_CHOICE = $(if $(filter command,$(firstword $(origin AIRFLOW))),$(LAKEHOUSE) env --airflow=$(AIRFLOW))
WHICH = $(or $(SERVICE),$(if $(filter 0,$(AIRFLOW)),--without airflow))
# What looks at or ends a running stack never changes what that stack runs on.
IF_SET_UP := [ -e $(VENV) ] || { echo "nothing is set up here: make up"; exit 0; };
ACTIVATE := source infra/activate.sh

#-------- run it

.PHONY: demo
demo: export DEMO_BEGAN := $(shell date +%s)
demo: $(if $(filter docker,$(RUNTIME)),up,$(VENV)) ## Source to features, by batch and by stream: sets up, runs, checks, sums up [LOAN_CSV=file ROWS=45000 AIRFLOW=0]
	@$(LAKEHOUSE) env --airflow=$(AIRFLOW)
	@$(ACTIVATE) && RUNTIME=$(RUNTIME) python -m demo

.PHONY: up
up: $(VENV) ## Start the services; downloads what is missing first [AIRFLOW=0 SERVICE=trino RUNTIME=docker]
	@$(STORE_CHOICE)
	@$(STACK) up $(WHICH)

.PHONY: up-without-build
up-without-build: $(VENV) ## With RUNTIME=docker: start the images that are there
	@$(STORE_CHOICE)
	@.venv/bin/python -m infra.docker up --no-build $(WHICH)

.PHONY: stream
stream: up ## Capture every change of the source's tables from now on
	@$(ACTIVATE) && python -m ingestion stream capture && python -m ingestion bronze-tables

.PHONY: stream-status
stream-status: $(VENV) ## Consumers, lag, rows landed, dead letters, replication slot
	@$(ACTIVATE) && python -m ingestion stream status

.PHONY: down
down: ## Stop all that `make up` started; data stays
	@$(IF_SET_UP) $(STACK) down

.PHONY: status
status: ## Health, memory and address of each service
	@$(IF_SET_UP) echo "runtime: $(RUNTIME)"; $(STACK) status

.PHONY: logs
logs: ## Follow the logs [SERVICE=trino]
	@$(IF_SET_UP) $(STACK) logs $(SERVICE)

.PHONY: clean
clean: ## Stop the services and delete all their data; asks first
	@$(IF_SET_UP) $(STACK) clean

#-------- use it

.PHONY: sql
sql: $(VENV) ## A SQL prompt on Trino; Q="select 1" prints CSV for scripts [AS_USER=dbt]
	@$(LAKEHOUSE) sql $(if $(AS_USER),--user $(AS_USER)) $(if $(Q),--execute "$$Q")
# As it was typed: a `$$` in it is Trino's, not make's.
override Q := $(value Q)
export Q

.PHONY: dbeaver
dbeaver: $(VENV) ## Write a project for DBeaver to import: the connection and sample queries
	@.venv/bin/python -m infra.dbeaver

.PHONY: docs
docs: $(VENV) ## Make dbt's documentation and serve it on loopback
	@$(ACTIVATE) && python -m infra.docs

.PHONY: upkeep
upkeep: $(VENV) ## Compact dbt's tables, drop what is old, show files before and after [SELECT=gold DRY_RUN=1]
	@$(ACTIVATE) && python -m infra.upkeep $(if $(SELECT),--select "$(SELECT)") $(if $(DRY_RUN),--dry-run)

.PHONY: materialize
materialize: $(VENV) ## Bring Feast's online store to what gold holds now
	@$(ACTIVATE) && python -O -m feast_repo.materialize

.PHONY: features
features: $(VENV) ## Start the feature server, on loopback, for who has the token of .env
	@$(STACK) up features

.PHONY: feast-ui
feast-ui: $(VENV) ## Serve Feast's UI on loopback: what features there are, and of what
	@$(ACTIVATE) && cd feast_repo && feast ui --host "$$BIND_HOST" --port "$$FEAST_UI_PORT"

.PHONY: backfill
backfill: $(VENV) ## Have Airflow read past days of the source again [FROM=2026-11-01 TO=2026-11-03]
	@$(ACTIVATE) && python -m infra.airflow backfill loan_batch_ingestion --from "$(FROM)" --to "$(TO)"

.PHONY: reconcile
reconcile: $(VENV) ## Prove that silver equals the source; exit 1 with the first differing keys
	@$(ACTIVATE) && python -m ingestion reconcile

.PHONY: bench
bench: $(VENV) $(AIRFLOW_VENV) $(BENCH_VENV) ## Measure landing, dbt and start-up; prints ratios, writes JSON [ROWS="45000 1000000" PARTS="landing dbt"]
	@.venv/bin/python -m tests.bench

#-------- work on it

.PHONY: test
test: $(VENV) $(AIRFLOW_VENV) ## The tests to run before a push, on a real stack of their own
	@.venv/bin/pytest --durations=25 -m "not slow" tests

.PHONY: test-slow
test-slow: $(VENV) $(AIRFLOW_VENV) ## The other tests: services killed at work, the demo, pages in a browser
	@.venv/bin/pytest --durations=25 -m slow tests

.PHONY: test-unit
test-unit: $(VENV) $(AIRFLOW_VENV) ## The tests that need no service: seconds
	@.venv/bin/pytest tests/unit

.PHONY: test-docker
test-docker: $(VENV) ## Build the images and run the demo in containers; needs an engine, or root to start one
	@.venv/bin/pytest tests/docker

.PHONY: drill
drill: $(VENV) $(AIRFLOW_VENV) ## Kill and starve everything while changes stream; nothing may be lost or repeated [FAULTS=100]
	@.venv/bin/python -m tests.faults $(if $(FAULTS),--faults $(FAULTS))

.PHONY: lint
lint: $(VENV) ## Types, style, imports, Dockerfiles, the dbt project's layers and names, SQL; needs no service
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@PYTHONPATH=airflow .venv/bin/lint-imports --no-cache --no-logo
	@.venv/bin/hadolint infra/docker/Dockerfile tests/docker/*.Dockerfile
	@cd dbt_project && PATH="$(CURDIR)/.venv/bin:$$PATH" && \
	  dbt --quiet --warn-error parse --target lint --target-path target/lint && \
	  COLUMNS=160 dbt-bouncer run --show-all-failures && \
	  sqlfluff lint --disable-progress-bar models tests

.PHONY: env
env: $(VENV) ## Write .env with generated secrets; keeps what it has
	@$(LAKEHOUSE) env

.PHONY: lock
lock: $(VENV) ## For maintainers: lock what infra/versions.toml and pyproject.toml say
	@.venv/bin/python -m infra.lock $(UV)

.PHONY: help
help: ## This list
	@awk -F ':.*## ' \
	  '/^#--------/ { print "\n" substr($$0, 11) } \
	   /^[a-z-]+:.*## / { printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2 }' Makefile

#---- set-up, by need

# `import feast` takes 0.9 s with -O, else 3.3: Feast's classes are checked by typeguard, which
# rewrites their code at each import, and which documents -O as its switch. uv does not compile
# for -O.
COMPILE_FEAST = env -u PYTHONDONTWRITEBYTECODE $(@D)/bin/python -O -c "import feast"

# The environments, brought up to their locks.
$(VENV): infra/locks/python.txt $(UV)
$(AIRFLOW_VENV): infra/locks/airflow.txt $(UV)
$(BENCH_VENV): infra/locks/bench.txt $(UV)
$(VENV) $(AIRFLOW_VENV) $(BENCH_VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "error: $(PYTHON) is not Python 3.11; name one: make PYTHON=path" >&2; exit 1; }
	@echo "setting up $(@D)"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --require-hashes --python $(@D)/bin/python $<
	@$(if $(filter $(VENV),$@),$(COMPILE_FEAST))
	@touch $@

# uv itself, checked against its lock.
$(UV):
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: $(PYTHON) is not there; install Python 3.11, or name it: make PYTHON=path" >&2; exit 1; }
	@echo "bringing uv $(UV_VERSION)"
	@mkdir -p $(@D) && work=$$(mktemp -d -p $(@D)) && trap 'rm -rf "$$work"' EXIT && \
	  $(PYTHON) -m venv "$$work" && \
	  "$$work/bin/pip" install --quiet --require-hashes -r infra/locks/uv.txt && \
	  mv "$$work/bin/uv" $@
