# Every target creates what it needs: an environment in .venv, state in .dagster.
# PYTHON may be any Python from 3.11 to 3.13.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := orch_assets_tests/step_functions/node

# The simulator and an account never share a Dagster instance: a run on one of them would find that
# the studies of the other are missing.
DEMO_HOME := $(CURDIR)/.dagster/demo
RUN_HOME := $(CURDIR)/.dagster/account
AWS_HOME := $(CURDIR)/.dagster/aws
demo dev: export DAGSTER_HOME = $(DEMO_HOME)
demo dev: export ORCH_REGISTRY = demo
# The simulator is nobody's account: its sensors may run.
dev: export ORCH_AUTOMATION = on
run studies: export DAGSTER_HOME = $(RUN_HOME)
demo-aws: export DAGSTER_HOME = $(AWS_HOME)

# A home contains databases with the names of studies, which other users of this machine need not
# read.
CLOSE_HOME = @chmod 700 "$$DAGSTER_HOME"

# A lock file is complete: pip resolves nothing, and checks every file against its hash.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps

.PHONY: help demo demo-aws dev run studies test test-pandas3 test-dagster-lowest check bench screenshot lock clean

help:
	@echo "make demo      run the main job on the simulator (no account needed)"
	@echo "make demo-aws  execute a state machine for every study, on a local server (no account)"
	@echo "make dev       open the Dagster UI on the simulator"
	@echo "make studies   show which studies of your account a run selects, and why"
	@echo "make run       run the main job on the account whose keys are in the environment"
	@echo "make test      run the tests"
	@echo "make test-pandas3   run the tests of the stores and IO managers with pandas 3"
	@echo "make test-dagster-lowest   run the tests of Dagster's behaviour with its lowest release"
	@echo "make check     lint and types"
	@echo "make bench     measure speed and memory, as ratios"
	@echo "make clean     remove everything that can be made again"

demo: $(VENV)/.installed $(DEMO_HOME)/dagster.yaml
	$(CLOSE_HOME)
	$(BIN)/python -m orch_assets run

demo-aws: $(VENV)/.installed-dev $(AWS_HOME)/dagster.yaml
	$(CLOSE_HOME)
	$(BIN)/python -m examples.state_machines

# Runs in another folder: here, Dagster would read .env, and take the account's keys and stores from
# it.
dev: export PYTHONPATH = $(CURDIR)
dev: $(VENV)/.installed $(DEMO_HOME)/dagster.yaml
	$(CLOSE_HOME)
	cd $(DEMO_HOME) && $(abspath $(BIN))/dagster dev -w $(CURDIR)/workspace.yaml

run: $(VENV)/.installed $(RUN_HOME)/dagster.yaml
	$(CLOSE_HOME)
	$(BIN)/python -m orch_assets run

studies: $(VENV)/.installed $(RUN_HOME)/dagster.yaml
	$(CLOSE_HOME)
	$(BIN)/python -m orch_assets studies

# Keeps the order of the files. If they were sorted by their number of tests, the longest ones would
# run last, without others beside them.
test: $(VENV)/.installed-dev $(VENV)-peers/.installed $(VENV)-cdisc/.installed $(NODE)/node_modules
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile --no-loadscope-reorder

# In an environment of its own: dagster-gcp keeps the project's environment at pandas 2.
test-pandas3: $(VENV)-pandas3/.installed
	$(VENV)-pandas3/bin/python -m pytest -q --numprocesses auto --dist loadfile \
		orch_assets_tests/stores orch_assets_tests/defs/test_io_manager.py \
		orch_assets_tests/defs/test_io_manager_inputs.py orch_assets_tests/defs/test_handing_on.py

# `make test` runs with the newest release of the range.
test-dagster-lowest: $(VENV)-dagster-lowest/.installed
	$(VENV)-dagster-lowest/bin/python -m pytest -q --numprocesses auto --dist loadfile \
		orch_assets_tests/defs/test_state_table.py orch_assets_tests/defs/test_failed_state.py \
		orch_assets_tests/defs/test_partition_facts.py \
		orch_assets_tests/defs/test_dagster_internals.py \
		orch_assets_tests/defs/test_reconciliation.py \
		orch_assets_tests/defs/test_result_log.py -k "not postgres"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# Needs Debian's chromium.
screenshot: $(VENV)/.installed-dev
	$(BIN)/python -m docs.screenshot

# --- environments ---

# The project comes last; it installs the command orch-assets.
$(VENV)/.installed: locks/run.txt locks/install.txt pyproject.toml | $(VENV)
	@echo "Installing into $(VENV); this takes a minute or two …"
	$(BIN)/python $(INSTALL) --require-hashes -r locks/run.txt -r locks/install.txt
	$(BIN)/python $(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: locks/dev.txt $(VENV)/.installed
	@echo "Installing the tests' tools into $(VENV) …"
	$(BIN)/python $(INSTALL) --require-hashes -r locks/dev.txt
	@touch $@

$(VENV):
	$(PYTHON) -m venv $(VENV)

# The public client and schemathesis can't be installed beside the project's dependencies.
$(VENV)-peers/.installed: locks/peers.txt
	@echo "Installing the peers of the tests into $(VENV)-peers …"
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python $(INSTALL) --require-hashes -r locks/peers.txt
	@touch $@

# Only for the JSON Schemas of Dataset-JSON, which the package ships. Its code needs Python 3.12 and
# isn't run.
$(VENV)-cdisc/.installed: locks/cdisc.txt
	@echo "Installing the schemas of Dataset-JSON into $(VENV)-cdisc …"
	$(PYTHON) -m venv $(VENV)-cdisc
	$(VENV)-cdisc/bin/python $(INSTALL) --ignore-requires-python --require-hashes -r locks/cdisc.txt
	@touch $@

$(VENV)-pandas3/.installed: locks/pandas3.txt
	@echo "Installing pandas 3 and what its tests need into $(VENV)-pandas3 …"
	$(PYTHON) -m venv $(VENV)-pandas3
	$(VENV)-pandas3/bin/python $(INSTALL) --require-hashes -r locks/pandas3.txt
	@touch $@

$(VENV)-dagster-lowest/.installed: locks/dagster-lowest.txt
	@echo "Installing the lowest release of Dagster into $(VENV)-dagster-lowest …"
	$(PYTHON) -m venv $(VENV)-dagster-lowest
	$(VENV)-dagster-lowest/bin/python $(INSTALL) --require-hashes -r locks/dagster-lowest.txt
	@touch $@

$(DEMO_HOME)/dagster.yaml $(RUN_HOME)/dagster.yaml $(AWS_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(@D)
	@chmod 700 $(@D)
	@cp dagster.yaml $@
	@chmod 600 $@

# An independent validator of state machines, and the reference implementation of JSONata. Without
# npm, the tests that use them are skipped.
$(NODE)/node_modules: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix $(NODE); \
	else echo "npm is not here: tests of state machines are skipped, and named at the end."; fi

# --- upkeep ---

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

# Needs uv. A lock file names no index, so that it works with any mirror.
lock:
	$(COMPILE) pyproject.toml --all-extras --group dagster-clouds -o locks/run.txt
	$(COMPILE) pyproject.toml -c locks/run.txt -o locks/core.txt
	$(COMPILE) --group pyproject.toml:install -c locks/run.txt -o locks/install.txt
	$(COMPILE) pyproject.toml --all-extras --group dagster-clouds --group dev -o locks/dev.txt
	$(COMPILE) --group pyproject.toml:peers -o locks/peers.txt
	$(COMPILE) --group pyproject.toml:pandas3 -o locks/pandas3.txt
	$(COMPILE) pyproject.toml --extra dagster --group dagster-lowest -o locks/dagster-lowest.txt

# Never removes an account's home: its tables, their versions and withheld values can't be made
# again.
clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-cdisc $(VENV)-pandas3 $(VENV)-dagster-lowest
	rm -rf $(NODE)/node_modules
	rm -rf $(DEMO_HOME) $(AWS_HOME)
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
	@for left in .dagster/* artifacts .env; do \
		if [ -e "$$left" ]; then echo "Left as it is: $$left"; fi; \
	done
