# One place for every task. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
CAPTURE ?= ../shared/data/binance/ws_raw
SPEED ?= 20
BASE ?= origin/main
UV ?= uv
# Tests wait for servers more than they compute. Each process has servers of its own, 3 GB of them at most.
JOBS ?= 2
SOURCES := crypto_intel streaming crypto_intel_tests
DOCKERFILES := $(wildcard docker/*.Dockerfile)

# What is imported is compiled once, not by each of the hundreds of processes that the platform and its tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo live replay checks clean-demo test test-fast test-cluster bench fuzz-api load-api chaos secrets audit graph-diff lint fmt lock golden

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything, from requirements.lock

# Made again when the lock, the project's own metadata or the Python changes; a failed install leaves no stamp.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python has no venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## The whole platform on a simulated market; Ctrl-C stops it, the next start goes on
	$(BIN)/crypto-intel up --source sim

live: setup ## The same platform on the real venues
	$(BIN)/crypto-intel up --source live

replay: setup ## Play a recording to its end and verify it (CAPTURE=folder SPEED=20)
	$(BIN)/crypto-intel up --source replay --capture "$(CAPTURE)" --speed $(SPEED) --until-done

clean-demo: setup ## Stop the demo and remove its data
	@for source in sim replay live; do \
		test ! -d .demo/$$source || $(BIN)/crypto-intel down --data-dir .demo/$$source; \
	done
	rm -rf .demo

test: setup ## All tests, on real servers, in two processes (JOBS=0: one after the other)
	$(BIN)/python -m pytest -n $(JOBS)

test-fast: setup ## Tests of pure functions, under a minute
	$(BIN)/python -m pytest -m "not stack" -n auto

chaos: setup ## Every fault on real servers, in full, an hour or more; table in .chaos/report.md (ARGS="--only R5")
	$(BIN)/python -m crypto_intel_tests.chaos $(ARGS)

fuzz-api: setup ## More than 10,000 requests made from the API's description; none may find a fault
	CRYPTO_INTEL_FUZZ_EXAMPLES=600 $(BIN)/python -m pytest -q -s crypto_intel_tests/crypto_intel/serving/api/test_openapi.py

bench: setup ## Speed on this machine: backlog, live, growth, half an hour (BENCH="backlog --quick": what, and how much)
	$(BIN)/python -m crypto_intel_tests.benchmarks $(BENCH)

test-cluster: setup ## The streaming queries on a standalone Spark cluster, one worker killed (about a minute)
	$(BIN)/python -m pytest -m cluster

load-api: setup ## 200 requests a second on 432,000 bars and 100 WebSocket clients; prints what they saw
	$(BIN)/python -m crypto_intel_tests.benchmarks.api

checks: setup ## Every check of the asset graph on a recorded session; fails with the failing check's table (CAPTURE=folder)
	$(BIN)/python -m crypto_intel_tests.checks --capture "$(CAPTURE)"

lint: setup ## Style, types, import borders, docker files, the asset graph
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint $(DOCKERFILES)
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yaml
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/dagster definitions validate -w workspace.yaml

secrets: setup ## Look for secrets in every file that git knows (UPDATE=--update: what is found now is none)
	$(BIN)/python -m crypto_intel_tests.ci.secret_scan $(UPDATE)

audit: setup ## Known faults of what requirements.lock names, by api.osv.dev (ADVISORIES=clone of pypa/advisory-database)
	$(BIN)/python -m crypto_intel_tests.ci.audit $(if $(ADVISORIES),--advisories "$(ADVISORIES)") $(AUDIT)

graph-diff: setup ## What this tree does to the asset graph, as Markdown (BASE=commit)
	$(BIN)/python -m crypto_intel_tests.ci.graph_diff $(BASE)

fmt: setup ## Format and mend what can be mended
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

golden: setup ## Write the golden files anew; look at the difference before you commit it
	$(BIN)/python -m pytest -q --update-golden -m "not stack"

lock: ## Compile requirements.lock: hashes of every wheel, no addresses (needs uv)
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --quiet \
		--no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements.lock
