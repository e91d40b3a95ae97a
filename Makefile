# Two commands matter: `make study` and `make check`. Each does its own set-up.
SCALE ?= smoke
JOBS ?= 2
ONLY ?=
KILLS ?= 200
STOPS ?= 60
MINUTES ?= 10
UPGRADE ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# Campaigns take hours: no limit on the time of one test, as pyproject.toml has it.
HOURS := -o faulthandler_timeout=0
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
TESTS := $(BIN)/python -m pytest -n $(JOBS) --dist loadscope --max-worker-restart 0
PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-strip-extras \
  --annotation-style line --custom-compile-command 'make lock'
export MPLBACKEND ?= Agg

.DEFAULT_GOAL := help
.PHONY: help setup study report publish check test coverage notebooks smoke slurm torture drift lint lock audit lab clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv (done by the others when needed)

# Three packages have no wheel: what builds them comes by its hash too, and first.
$(READY): pyproject.toml build.lock requirements.lock peers.txt p2s/cli/detectron2.txt
	@echo "Installing into .venv: about 7 GB, a few minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes --only-binary=:all: -r build.lock
	$(INSTALL) --require-hashes --no-build-isolation -r requirements.lock
	$(INSTALL) --no-build-isolation --no-deps -e .
	$(INSTALL) --require-hashes --no-deps --only-binary=:all: -r peers.txt
	$(BIN)/p2s setup-detectron2
	$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name p2s > /dev/null
	touch $@

# Failed runs (1) leave a report of the others; a mistake (2) and Ctrl-C (130) end at once.
study: $(READY) ## run the study and render its report: SCALE=smoke|gated|highway|pictures|paper ONLY=table5 JOBS=2
	$(BIN)/p2s study run --scale $(SCALE) --jobs $(JOBS) $(if $(ONLY),--only $(ONLY)); ran=$$?; \
	  [ $$ran -gt 1 ] || $(BIN)/p2s study report || exit; \
	  exit $$ran

report: $(READY) ## render results/report/index.html from the records
	$(BIN)/p2s study report

publish: $(READY) ## render docs/report from the records: the same pages, small enough for git
	$(BIN)/p2s study report --publish

check: lint coverage smoke notebooks drift ## what a change must pass: all five of these, from nothing within an hour on 2 cores

test: $(READY) ## run all tests
	$(TESTS)

# Counting lines makes the tests take half as long again: it is a command of its own.
coverage: $(READY) ## run all tests and count the lines of p2s that they run: 90 % at least
	$(TESTS) --cov=p2s --cov-report=term --cov-fail-under=90

smoke: $(READY) ## train and evaluate Table 5 at scale smoke
	$(BIN)/p2s study run --scale smoke --only table5 --jobs $(JOBS)

notebooks: $(READY) ## execute every notebook, at scale smoke and as it stands from its folder
	$(BIN)/python -m pytest tests/smoke_notebooks.py

slurm: $(READY) ## train by jobs of a Slurm of two nodes, lose some, compare: needs Debian's slurm-wlm and munge
	$(BIN)/python -m pytest $(HOURS) tests/slurm/lost_jobs.py

torture: $(READY) ## kill and starve a study and a training, compare: KILLS=200 of a study, STOPS=60 of a training, MINUTES=10
	KILLS=$(KILLS) STOPS=$(STOPS) MINUTES=$(MINUTES) $(BIN)/python -m pytest $(HOURS) \
	  tests/torture/under_faults.py tests/torture/told.py tests/torture/feeding.py

drift: $(READY) ## hold tables and figures against the records
	$(BIN)/p2s study drift

lint: $(READY) ## format, lint, layers, types, notebooks without outputs
	$(BIN)/ruff format --check p2s tests
	$(BIN)/ruff check p2s tests
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(READY) ## pin what pyproject.toml asks for, with hashes: UPGRADE=--upgrade the newest, UPGRADE='-P pillow' one
	$(PIN) $(UPGRADE) --all-extras pyproject.toml -o requirements.lock
	$(PIN) --no-annotate -c requirements.lock pyproject.toml -o base.lock
	printf 'setuptools\nwheel\n' | $(PIN) --no-annotate -c requirements.lock - -o build.lock

audit: $(READY) ## hold the lock against the faults that PyPI knows
	$(BIN)/uvx pip-audit@2.10.1 --strict --disable-pip --require-hashes -r requirements.lock

lab: $(READY) ## explore the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=.

clean: ## remove caches, not records
	rm -rf .p2s .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage
