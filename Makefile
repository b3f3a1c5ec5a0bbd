# The commands of the lakehouse; `make help` lists them. Each target calls a program that
# you can also run yourself after `source infra/activate.sh`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3.11
# A second stack has an env file of its own.
ENV_FILE ?= .env
export ENV_FILE

# The choice of the last `make up`; before the first one, docker if an engine answers.
setting = $(shell sed -n 's/^$(1)=//p' $(ENV_FILE) 2>/dev/null)
ENGINE = $(shell docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1 && echo docker)
RUNTIME := $(or $(call setting,RUNTIME),$(ENGINE),native)
# `make up AIRFLOW=0` leaves Airflow out until `make up AIRFLOW=1`.
AIRFLOW := $(or $(call setting,AIRFLOW),1)
MLFLOW := $(or $(call setting,MLFLOW),1)
FLINK := $(or $(call setting,FLINK),1)

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/loan-lakehouse
UV_VERSION := $(shell sed -n 's/^uv = "\(.*\)"/\1/p' infra/versions.toml)
UV := $(CACHE)/uv-$(UV_VERSION)/uv
export UV_PYTHON_DOWNLOADS := never
# Ten seconds, once. Else, where PYTHONDONTWRITEBYTECODE is set, every command would compile
# what it imports: dbt and Feast for seconds each.
export UV_COMPILE_BYTECODE := 1

# Touched when an environment is complete: the folder alone may be incomplete.
VENV := .venv/.ready
AIRFLOW_VENV := .venv-airflow/.ready
MLFLOW_VENV := .venv-mlflow/.ready
BENCH_VENV := .venv-bench/.ready
LAKEHOUSE := .venv/bin/python -m infra
STACK := .venv/bin/python -m infra.$(RUNTIME)
# Stored before anything starts; a service that is named is started in any case.
chosen = $(filter command,$(firstword $(origin $(1))))
CHOICE = $(if $(call chosen,AIRFLOW),--airflow=$(AIRFLOW)) $(if $(call chosen,MLFLOW),--mlflow=$(MLFLOW)) \
  $(if $(call chosen,FLINK),--flink=$(FLINK))
STORE_CHOICE = $(if $(strip $(CHOICE)),$(LAKEHOUSE) env $(strip $(CHOICE)))
WITHOUT = $(if $(filter 0,$(AIRFLOW)),--without airflow) $(if $(filter 0,$(MLFLOW)),--without mlflow) \
  $(if $(filter 0,$(FLINK)),--without flink)
WHICH = $(or $(SERVICE),$(strip $(WITHOUT)))
# Targets that inspect or stop a running stack never change its environment.
IF_SET_UP := [ -e $(VENV) ] || { echo "nothing is set up here: make up"; exit 0; };
ACTIVATE := source infra/activate.sh

#-------- Run

.PHONY: demo
demo: export DEMO_BEGAN := $(shell date +%s)
demo: $(if $(filter docker,$(RUNTIME)),up,$(VENV)) ## Run everything once, source to features, and print a summary [LOAN_CSV=file ROWS=45000 AIRFLOW=0 MODEL=0]
	@$(LAKEHOUSE) env --airflow=$(AIRFLOW) --mlflow=$(MLFLOW) --flink=$(FLINK)
	@$(ACTIVATE) && RUNTIME=$(RUNTIME) python -m demo

.PHONY: up
up: $(VENV) ## Start the services; download what is missing first [AIRFLOW=0 FLINK=0 SERVICE=trino RUNTIME=docker]
	@$(STORE_CHOICE)
	@$(STACK) up $(WHICH)

.PHONY: up-without-build
up-without-build: $(VENV) ## Start the containers from the images that exist (Docker only)
	@$(STORE_CHOICE)
	@.venv/bin/python -m infra.docker up --no-build $(WHICH)

.PHONY: stream
stream: up ## Capture every change of the source's tables from now on
	@$(ACTIVATE) && python -m ingestion stream capture && python -m ingestion bronze-tables

.PHONY: stream-status
stream-status: $(VENV) ## Show consumers, lag, rows landed, dead letters, replication slot
	@$(ACTIVATE) && python -m ingestion stream status

.PHONY: down
down: ## Stop everything that `make up` started; data stays
	@$(IF_SET_UP) $(STACK) down

.PHONY: status
status: ## Show health, memory and address of each service
	@$(IF_SET_UP) echo "runtime: $(RUNTIME)"; $(STACK) status

.PHONY: logs
logs: ## Follow the logs [SERVICE=trino]
	@$(IF_SET_UP) $(STACK) logs $(SERVICE)

.PHONY: clean
clean: ## Stop the services and delete all their data; asks first
	@$(IF_SET_UP) $(STACK) clean

#-------- Use

.PHONY: sql
sql: $(VENV) ## Open a SQL prompt on Trino; Q="select 1" prints CSV for scripts [AS_USER=dbt]
	@$(LAKEHOUSE) sql $(if $(AS_USER),--user $(AS_USER)) $(if $(Q),--execute "$$Q")
# As it was typed: a `$$` in it is Trino's, not make's.
override Q := $(value Q)
export Q

.PHONY: dbeaver
dbeaver: $(VENV) ## Write a project for DBeaver to import: the connection and sample queries
	@.venv/bin/python -m infra.dbeaver

.PHONY: docs
docs: $(VENV) ## Generate dbt's documentation and serve it on loopback
	@$(ACTIVATE) && python -m infra.docs

.PHONY: upkeep
upkeep: $(VENV) ## Compact dbt's tables, expire old snapshots, show files before and after [SELECT=gold DRY_RUN=1]
	@$(ACTIVATE) && python -m infra.upkeep $(if $(SELECT),--select "$(SELECT)") $(if $(DRY_RUN),--dry-run)

.PHONY: materialize
materialize: $(VENV) ## Update Feast's online store from gold
	@$(ACTIVATE) && python -O -m feast_repo.materialize

.PHONY: features
features: $(VENV) ## Start the feature server on loopback; clients send the token of .env
	@$(STACK) up features

.PHONY: feast-ui
feast-ui: $(VENV) ## Serve Feast's UI on loopback
	@$(ACTIVATE) && cd feast_repo && feast ui --host "$$BIND_HOST" --port "$$FEAST_UI_PORT"

.PHONY: train
train: $(VENV) ## Train a model on gold's features, register it, promote it if it passes [PROMOTE=manual]
	@$(ACTIVATE) && python -O -m ml train $(if $(filter manual,$(PROMOTE)),--manual)

.PHONY: score
score: $(VENV) ## Score new and changed applications with the champion, into silver.loan_scores
	@$(ACTIVATE) && python -O -m ml score && cd dbt_project && dbt build --quiet --select tag:scores

.PHONY: serve
serve: $(VENV) ## Start the scoring server on loopback: the champion's decisions over HTTP
	@$(STACK) up scoring

.PHONY: backfill
backfill: $(VENV) ## Run the batch pipeline in Airflow for past days again [FROM=2026-11-01 TO=2026-11-03]
	@$(ACTIVATE) && python -m infra.airflow backfill loan_batch_ingestion --from "$(FROM)" --to "$(TO)"

.PHONY: reconcile
reconcile: $(VENV) ## Compare silver with the source; exit 1 with the first keys that differ
	@$(ACTIVATE) && python -m ingestion reconcile

.PHONY: bench
bench: $(VENV) $(AIRFLOW_VENV) $(BENCH_VENV) ## Measure landing, dbt and start-up; print ratios, write JSON [ROWS="45000 1000000" PARTS="landing dbt"]
	@.venv/bin/python -m tests.bench

#-------- Cluster

# A context must be given: no cluster is meant by accident.
K8S = $(or $(K8S_CONTEXT),$(error name a context of your kubeconfig: make $@ K8S_CONTEXT=...)) \
  $(if $(NAMESPACE), --namespace $(NAMESPACE))

.PHONY: k8s-up
k8s-up: $(VENV) ## Install or upgrade the lakehouse on Kubernetes; asks first [K8S_CONTEXT=... VALUES=local NAMESPACE=lakehouse]
	@.venv/bin/python -m infra.kubernetes up --context $(K8S) $(if $(VALUES),--values $(VALUES)) $(K8S_OPTIONS)

.PHONY: k8s-status
k8s-status: $(VENV) ## Show pods, set-up steps and volumes [K8S_CONTEXT=... NAMESPACE=lakehouse]
	@.venv/bin/python -m infra.kubernetes status --context $(K8S)

.PHONY: k8s-down
k8s-down: $(VENV) ## Uninstall the lakehouse; volumes and passwords stay; asks first [K8S_CONTEXT=... NAMESPACE=lakehouse]
	@.venv/bin/python -m infra.kubernetes down --context $(K8S)

.PHONY: k8s-tools
k8s-tools: $(VENV) ## Build what `make test-cluster` runs: Helm, and Kubernetes without containers
	@.venv/bin/python -m infra.kubernetes tools

#-------- Develop

.PHONY: test
test: $(VENV) $(AIRFLOW_VENV) ## Run all tests but the slow ones, on a stack of their own
	@.venv/bin/pytest --durations=25 -m "not slow" tests

.PHONY: test-slow
test-slow: $(VENV) $(AIRFLOW_VENV) ## Run the slow tests: services killed at work, the demo, pages in a browser
	@.venv/bin/pytest --durations=25 -m slow tests

.PHONY: test-unit
test-unit: $(VENV) $(AIRFLOW_VENV) ## Run the tests that need no service
	@.venv/bin/pytest tests/unit

.PHONY: test-docker
test-docker: $(VENV) ## Build the images, run the demo in containers; needs an engine, or root to start one
	@.venv/bin/pytest tests/docker

.PHONY: test-chart
test-chart: $(VENV) ## Run the tests of the Helm chart, which need no cluster [BUILD_TOOLS=0]
	@.venv/bin/pytest -m "not slow" tests/kubernetes

.PHONY: test-cluster
test-cluster: k8s-tools ## Install, upgrade and drain the chart on a control plane of Kubernetes
	@.venv/bin/pytest tests/kubernetes/cluster

.PHONY: drill
drill: $(VENV) $(AIRFLOW_VENV) ## Kill and starve services while changes stream; check that nothing is lost or repeated [FAULTS=100]
	@.venv/bin/python -m tests.faults $(if $(FAULTS),--faults $(FAULTS))

.PHONY: lint
lint: $(VENV) ## Check types, style, imports, Dockerfiles, SQL, and the dbt project's layers and names
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
lock: $(VENV) ## Lock what infra/versions.toml and pyproject.toml say (for maintainers)
	@.venv/bin/python -m infra.lock $(UV)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' \
	  'NR == FNR { if (/^[a-z0-9-]+:.*## / && length($$1) > width) width = length($$1); next } \
	   /^#--------/ { print "\n" substr($$0, 11) } \
	   /^[a-z0-9-]+:.*## / { printf "  \033[36m%-*s\033[0m  %s\n", width, $$1, $$2 }' Makefile Makefile

#---- set-up

# `import feast` takes 0.9 s with -O, else 3.3: Feast's classes are checked by typeguard, which
# rewrites their code at each import, and which documents -O as its switch. uv does not compile
# for -O.
COMPILE_FEAST = env -u PYTHONDONTWRITEBYTECODE $(@D)/bin/python -O -c "import feast"

# The environments, synchronized with their locks.
$(VENV): infra/locks/python.txt $(UV)
$(AIRFLOW_VENV): infra/locks/airflow.txt $(UV)
$(MLFLOW_VENV): infra/locks/mlflow.txt $(UV)
$(BENCH_VENV): infra/locks/bench.txt $(UV)
$(VENV) $(AIRFLOW_VENV) $(MLFLOW_VENV) $(BENCH_VENV):
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
	@echo "installing uv $(UV_VERSION)"
	@mkdir -p $(@D) && work=$$(mktemp -d -p $(@D)) && trap 'rm -rf "$$work"' EXIT && \
	  $(PYTHON) -m venv "$$work" && \
	  "$$work/bin/pip" install --quiet --require-hashes -r infra/locks/uv.txt && \
	  mv "$$work/bin/uv" $@
