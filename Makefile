# VoiceAssist. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHON
BIN := .venv/bin
TIERS ?=
DISTRIBUTIONS := crds relay operator sim demo monitoring
PACKAGES := $(addprefix voiceassist_,$(DISTRIBUTIONS))

LINTS := lint-style lint-types lint-layers lint-dependencies lint-generated lint-shell lint-long

.PHONY: help setup demo plugin test test-fast coverage lint $(LINTS) format generate bench bench-operator soak fuzz faults \
	lock version images release clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv from the lock file (does nothing when up to date)
	@tools/setup.sh

demo: setup ## the whole line on this machine: http://127.0.0.1:8600 (FLEX=1: and the real Flex UI; MODEL=local: a real ear)
	@$(BIN)/voiceassist-demo $(if $(FLEX),--flex) $(if $(filter local,$(MODEL)),--local) $(ARGS)

plugin: setup ## the Flex plugin in flex-plugin/build/: what Twilio is given (PARTS=1: what it is made of)
	@$(BIN)/python tools/plugin.py $(if $(PARTS),--parts)

test: setup ## every tier of tests (TIERS="unit contract" for some; CHANGED=1: what a change since main can reach)
	@$(BIN)/python tools/tiers.py $(if $(CHANGED),--changed) $(TIERS)

test-fast: setup ## the quick tiers, under 2 minutes
	@$(BIN)/python tools/tiers.py --fast

# BASE=COMMIT: beside that commit's relay; QUICK=1; JSON=1; WRITE=1: into docs/performance.md; MEMORY=60: only memory of calls of an hour
bench: setup ## what a frame costs beside the limit, and a call (BASE=COMMIT, QUICK=1, JSON=1, WRITE=1, MEMORY=60)
	@$(BIN)/python tools/bench.py $(if $(QUICK),--quick) $(if $(JSON),--json) $(if $(WRITE),--write) $(if $(MEMORY),--memory $(MEMORY)) \
		$(if $(BASE),--base $(BASE)) $(ARGS)
	@$(if $(or $(JSON),$(WRITE),$(MEMORY),$(BASE),$(ARGS)),:,$(BIN)/python tools/bench.py moves_cost $(if $(QUICK),--quick))
	@$(if $(or $(JSON),$(WRITE),$(MEMORY),$(BASE),$(ARGS)),:,$(BIN)/python tools/bench.py panel_cost $(if $(QUICK),--quick))

bench-operator: setup ## what the operator costs, beside a bare one (OBJECTS=100, BASE=commit, JSON=1; root, Linux)
	@$(BIN)/python tools/bench.py operator --objects $(or $(OBJECTS),100) $(if $(BASE),--base $(BASE)) $(if $(JSON),--json) $(ARGS)

fuzz: setup ## what the relay reads from others, with new seeds for MINUTES=5; findings go to tests/fuzz_corpus
	@$(BIN)/python tools/fuzz.py --minutes $(or $(MINUTES),5) $(ARGS)

# CALLS=20: fewer, on a machine that cannot carry fifty in real time
faults: setup ## what roll-outs, drains, kills, full disks, wrong clocks and lost nodes cost fifty calls on a cluster: a table (root, Linux)
	@VOICEASSIST_FAULTS=1 VOICEASSIST_FAULTS_CALLS=$(or $(CALLS),50) $(BIN)/python -m pytest -q -s tests/cluster/test_faults.py $(ARGS)

soak: setup ## calls come and go for MINUTES=30; memory, tasks and sockets must end where they began
	@$(BIN)/python tools/soak.py --minutes $(or $(MINUTES),30) $(ARGS)

lint: $(LINTS) ## ruff, mypy (strict), layers, declared dependencies, what is generated, shell scripts, long lines, long modules (a warning)

lint-style: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .

lint-types: setup
	@$(BIN)/mypy $(addprefix -p ,$(PACKAGES))

lint-layers: setup
	@$(BIN)/lint-imports --no-cache

lint-dependencies: setup
	@for d in $(DISTRIBUTIONS); do said=$$($(BIN)/deptry --config $$d/pyproject.toml $$d/src 2>&1) || { echo "$$said"; exit 1; }; done

lint-generated: setup
	@$(BIN)/python tools/generate.py --check

lint-shell: setup
	@$(BIN)/shellcheck $$(git ls-files '*.sh' .ci/run)

lint-long: setup
	@$(BIN)/python tools/lengths.py

format: setup ## let ruff format and mend
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check --fix -q .

generate: setup ## write all that is made from something else: schemas, the chart's CRD, reference, values, metrics, modules, monitoring
	@$(BIN)/python tools/generate.py $(WHAT)

lock: setup ## write requirements/*.lock anew from what the distributions and pyproject.toml declare
	@tools/lock.sh

version: ## what the tags say
	@$(BIN)/python tools/version.py

# BASE=debian builds upon a Debian made here, where no registry can be reached.
images: setup ## the images for this machine, as archives in dist/images, with their sizes (VERSION=…, BASE=debian)
	@$(BIN)/python tools/images.py --version $(or $(VERSION),$(shell $(BIN)/python tools/version.py)) $(if $(BASE),--base $(BASE))

release: setup ## images, chart, SBOMs, sums and notes of VERSION=…; DRY_RUN=1 publishes nothing (see RELEASE.md)
	@$(BIN)/python tools/release.py $(or $(VERSION),$(error VERSION=1.2.3 is missing)) $(if $(DRY_RUN),--dry-run) $(if $(BASE),--base $(BASE))

coverage: setup ## branch coverage by package of the tests in TIERS (default: unit contract integration)
	@$(BIN)/python tools/coverage.py $(TIERS)

clean: ## remove what was built here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

-include cluster.mk
