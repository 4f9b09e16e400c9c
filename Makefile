# Every target sets up what it needs by itself; Python 3.11+ and make are all it asks for.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The site's generator has an environment of its own.
SITE_BIN := var/docs-venv/bin

ALONE  := tests/real/test_clusters.py
SIDE_BY_SIDE := --numprocesses 2 --dist worksteal
# The head of a record that is kept: when, and of what.
RECORD := date -u +%F && $(BIN)/python -m tests.real versions

# A pipe fails with its first command, not only with its last.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.DEFAULT_GOAL := help
.PHONY: help demo test corpus chaos chaos-long soak fuzz sbom audit test-browser test-docs test-postgres test-go test-real test-real-long test-real-matrix wheel release-check bench-real bench-postgres contract real-binaries serve lint format openapi docs bench lock clean

help: ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "kecs-state needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) (once, about half a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## Stop and start a sandbox instance and show, object by object, what came back
	@$(BIN)/python -m demo

test: $(READY) ## Run every test that needs nothing but Python
	@$(BIN)/pytest -m "not real and not tools and not go and not browser and not docs and not postgres and not release" $(SIDE_BY_SIDE)

chaos: $(READY) ## Kill service, Velero, S3 server and cluster 25 times during jobs and check that nothing is lost
	@$(BIN)/python -m tests.chaos --kills 25

chaos-long: $(READY) ## The same 500 times (about 45 minutes); keeps the report in docs/runs
	@$(BIN)/python -m tests.chaos --kills 500 --keep docs/runs/chaos.json

soak: $(READY) ## 300 stops and starts, ten at once, many shutdowns (about 40 minutes); keeps the report in docs/runs
	@$(BIN)/python -m tests.soak --keep docs/runs/soak.json

fuzz: $(READY) ## 50,000 hostile requests to a sandbox service (about half an hour); keeps the report in docs/runs
	@$(BIN)/python -m tests.fuzz --keep docs/runs/fuzz.json

sbom: $(READY) ## Write the bill of materials (CycloneDX) to var/sbom.json
	@$(BIN)/python -m tests.supply_chain sbom

audit: $(READY) ## Ask for known vulnerabilities of what is pinned (network; exit status 2 if nobody could be asked)
	@$(BIN)/python -m tests.supply_chain audit

test-browser: $(READY) ## Use the dashboard in headless Chromium, on a sandbox instance (Chromium)
	@$(BIN)/pytest -m browser tests/browser

test-postgres: $(READY) ## Run what matters of the database on a PostgreSQL server of the tests' own (its programs)
	@$(BIN)/pytest -m postgres $(SIDE_BY_SIDE) tests/jobs tests/access tests/webhooks tests/test_*.py

test-docs: $(READY) ## Type every command of README.md and docs/ on one sandbox service (curl, jq, openssl)
	@$(BIN)/pytest -m docs tests/docs

test-go: $(READY) ## Compile a Go client generated from openapi.json and stop and start an instance with it (Go)
	@$(BIN)/pytest -m go

test-real: $(READY) real-binaries ## Run the tests on real Kubernetes, Velero and MinIO, and with the real kubectl (root, Go; tests/real/README.md)
	@# Alone: they look at all of this machine's processes, mounts and links.
	@$(BIN)/pytest -m real $(ALONE)
	@$(BIN)/pytest -m "(real or tools) and not long" $(SIDE_BY_SIDE) --ignore $(ALONE)

test-real-long: $(READY) real-binaries ## Run the slow tests on the real ones; keeps the output in docs/runs
	@mkdir -p docs/runs
	@{ $(RECORD) && $(BIN)/pytest -v --no-header -m "real and long"; } | tee docs/runs/test-real-long.txt

test-real-matrix: $(READY) ## Run contract and stories on Kubernetes 1.31 and another MinIO; keeps the output in docs/runs
	@mkdir -p docs/runs
	@KECS_STATE_REAL_LEG=other $(BIN)/python -m tests.real build
	@export KECS_STATE_REAL_LEG=other; { $(RECORD) && \
		$(BIN)/pytest -v --no-header -m "real and not long" $(SIDE_BY_SIDE) tests/contract tests/workflows; } \
		| tee docs/runs/test-real-matrix.txt

bench-real: $(READY) real-binaries ## Measure the real stack beside the Velero CLI; writes docs/real-stack.md
	@$(BIN)/python -m bench.real

corpus: $(READY) ## Prove thousands of damaged and good backups; keeps the output in docs/runs
	@mkdir -p docs/runs
	@{ date -u +%F && git rev-parse --short HEAD && $(BIN)/python -m tests.proof; } | tee docs/runs/corpus.txt

bench-postgres: $(READY) ## Measure a million jobs on PostgreSQL and SQLite; writes docs/scale.md (PostgreSQL's programs)
	@$(BIN)/python -m bench.postgres

contract: $(READY) ## Run the contract suite in every world that this machine has
	@$(BIN)/pytest tests/contract

real-binaries: $(READY) ## Build the real components from pinned sources (about 15 minutes, once)
	@$(BIN)/python -m tests.real build

serve: $(READY) ## Serve the API on 127.0.0.1:5380 with the embedded sandbox
	@$(BIN)/kecs-state serve --sandbox

wheel: $(READY) ## Build the wheel into dist/, offline
	@$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

release-check: $(READY) ## Install the wheel where nothing else is and serve the sandbox with it (about a minute)
	@$(BIN)/pytest tests/release -m "release or not release"

lint: $(READY) ## Check format, lint, types, import layers, dead code and sizes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture

format: $(READY) ## Rewrite the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

openapi: $(READY) ## Write openapi.json as the app serves it
	@$(BIN)/kecs-state openapi > openapi.json

$(SITE_BIN)/.ready: requirements-docs.lock
	@$(PYTHON) -m venv $(dir $(SITE_BIN))
	@$(SITE_BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

docs: $(READY) $(SITE_BIN)/.ready ## Write docs/reference as the code says, and make a site of docs/ in var/site
	@$(BIN)/python -m reference
	@$(SITE_BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir var/doctrees docs var/site

bench: $(READY) ## Measure against baselines taken in the same run (about an hour); writes docs/performance.md; BASE=COMMIT
	@$(BIN)/python -m bench --keep docs/runs/bench.json $(if $(BASE),--base $(BASE)); missed=$$?; \
		$(BIN)/python -m bench.page && exit $$missed

# One resolution. The other two files are parts of it: what a container runs, and what builds the wheel.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
PART    := $(COMPILE) --constraints requirements.lock --no-annotate

lock: $(READY) ## Pin every dependency anew, with hashes
	@$(COMPILE) pyproject.toml --extra postgres --extra sandbox --group dev --output-file requirements.lock
	@$(PART) pyproject.toml --extra postgres --extra sandbox --output-file requirements-service.lock
	@$(PART) --group build --output-file requirements-build.lock
	@$(COMPILE) --group docs --output-file requirements-docs.lock

clean: ## Remove what make has made here
	rm -rf $(VENV) var
