# Dossierpoort: `make demo` shows it, `make test` proves it. `make help` lists the rest.
#
# Everything lands in .venv/ and var/, both ignored by git. Nothing is installed outside this folder, except the
# OPA compiler that `make policy` builds once into the user's cache.

VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
# Tried in this order, by running them: a name on PATH may be a shim that fails. With PYTHON=… only that one is.
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python /usr/bin/python3 python3.14)

RUNTIME := $(VENV)/.installed
DEV     := $(VENV)/.installed-dev
# Written last, when the virtual environment is whole; it holds the folder's name, because a copied or moved
# environment still runs the code of the place where it was made.
WHOLE   := $(VENV)/.made-in

# An environment that lost its Python, was half made or came from elsewhere counts as not there.
ifneq ($(wildcard $(VENV)),)
ifneq ($(shell cat $(WHOLE) 2>/dev/null; $(BIN)/python -c 'print("+runs")' 2>/dev/null || :),$(CURDIR) +runs)
$(shell rm -f $(WHOLE) $(RUNTIME) $(DEV))
endif
endif

.DEFAULT_GOAL := help
.PHONY: help demo demo-production test up lint format engines policy lock clean bench bench-short faults matrix mutants
.DELETE_ON_ERROR:

help: ## list what can be made
	@sed -n 's/^\([a-z][a-z.-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

demo: $(RUNTIME) ## run one dossier request through the real processes, with a transcript
	@$(BIN)/poort demo

# What it needs of the tests is the throw-away PostgreSQL. Exit code 3 of the script: nothing ran.
demo-production: $(DEV) ## run the same with two gateways on a PostgreSQL, with OPA; one of the gateways is killed
	@$(BIN)/python .ci/demo-production

test: lint ## check the code and run every test
	@$(BIN)/python -m pytest -q

# Whoever has no PostgreSQL or no OPA is told so, and nothing runs; `make test` keeps the promises on both.
test-production: $(DEV) ## run every test of the whole stack on PostgreSQL and OPA (ten minutes)
	@OVERLOAD_AT_ONCE=32 $(BIN)/python -m pytest -q --on production tests/integration tests/faults/test_crossing.py

up: $(RUNTIME) ## keep the same stack running until Ctrl-C; writes var/sandbox.json
	@$(BIN)/poort up

lint: $(DEV) ## check style, format and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check || { echo "Not formatted as agreed: run 'make format'." >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary

format: $(DEV) ## put the code in the agreed format
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

# ENGINES_CORPUS: how many questions both engines are asked; `make test` asks a few thousand.
engines: $(DEV) ## ask the compiled policy and a real OPA the same 100,000 questions (ENGINES_CORPUS=n for another size)
	@ENGINES_CORPUS=$(or $(ENGINES_CORPUS),100000) $(BIN)/python -m pytest -q tests/integration/policy -k both_engines

policy: $(RUNTIME) ## compile policies/ to policies/build/policy.wasm (needs Go, once)
	@$(BIN)/python .ci/policy

# --universal: the same two files serve every Python from 3.11 on. The second takes its versions from the first.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)
lock: pyproject.toml $(DEV) ## choose versions anew for what pyproject.toml asks (UPGRADE=--upgrade for all)
	@$(LOCK) pyproject.toml --group build --output-file requirements.txt
	@$(LOCK) pyproject.toml --group dev --constraint requirements.txt --output-file requirements-dev.txt

bench: $(RUNTIME) ## measure the goals of speed side by side and write docs/benchmarks.md (half an hour, a quiet machine)
	@$(BIN)/python -m bench

bench-short: $(RUNTIME) ## show in three minutes that the benchmark works; its figures are too few to quote
	@$(BIN)/python -m bench --short

# FAULTS: options of tests/faults/campaign.py, for instance "--seed 7 --only kills" or "--postgresql". With the seed
# that it printed, a campaign that was broken off goes on where it was.
faults: $(DEV) ## break the gateway at every step, hundreds of times, and check what came out (an hour; FAULTS=options)
	@$(BIN)/python -m tests.faults.campaign $(FAULTS)

# MATRIX: options, for instance "--only mutants --seconds 60".
matrix: $(DEV) ## ask both engines everything that can be asked, compare with a second reading, seed faults into the policy
	@$(BIN)/python -m tests.matrix $(MATRIX)

mutants: $(DEV) ## seed bugs into a copy, one at a time, and see that the tests catch each of them
	@$(BIN)/python -m tests.faults.mutants

clean: ## remove what these commands made, except policies/build
	@rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment -----------------------------------------------------------------------------------

.PHONY: .venv
.venv: $(DEV)
	@:

# The oldest Python we support, and the two modules that Debian packages apart from it.
FITS = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

$(WHOLE):
	@for candidate in $(PYTHONS); do \
	    "$$candidate" -c '$(FITS)' >/dev/null 2>&1 || continue; \
	    echo "Making $(VENV) with $$("$$candidate" --version) …"; \
	    rm -rf $(VENV) && "$$candidate" -m venv $(VENV) && echo '$(CURDIR)' > $@ && exit 0; \
	    rm -rf $(VENV); \
	done; \
	echo "No Python of 3.11 or later with its venv module works here." >&2; \
	echo "Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: python.org, or name yours with PYTHON=/path/to/python3." >&2; \
	exit 1

PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install

# --no-build-isolation: the build backend comes from the locked file as well, not from the network unlocked.
$(RUNTIME): requirements.txt pyproject.toml | $(WHOLE)
	@echo "Installing locked dependencies (once) …"
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing what the tests need (once) …"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
