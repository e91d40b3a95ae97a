# Two commands matter: `make study` and `make check`. Each does its own set-up.
SCALE ?= smoke
JOBS ?= 2
ONLY ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
export MPLBACKEND ?= Agg

.DEFAULT_GOAL := help
.PHONY: help setup study report check test notebooks smoke slurm drift lint lock lab clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv (done by the others when needed)

$(READY): pyproject.toml requirements.lock detectron2.txt
	@echo "Installing into .venv: about 6 GB, a few minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,fast,peers,supervision,tensorboard]'
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --no-deps --only-binary=:all: \
	  --python-version 3.10 -r detectron2.txt \
	  --target "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name p2s > /dev/null
	touch $@

# Failed runs (1) leave a report of the others; a mistake (2) and Ctrl-C (130) end at once.
study: $(READY) ## run the study and render its report: SCALE=smoke|desk|photographs|paper ONLY=table5 JOBS=2
	$(BIN)/p2s study run --scale $(SCALE) --jobs $(JOBS) $(if $(ONLY),--only $(ONLY)); ran=$$?; \
	  [ $$ran -gt 1 ] || $(BIN)/p2s study report || exit; \
	  exit $$ran

report: $(READY) ## render results/report/index.html from the records
	$(BIN)/p2s study report

check: lint test smoke notebooks drift ## what a change must pass: all five of these, from nothing within an hour on 2 cores

test: $(READY) ## run all tests with coverage
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --cov=p2s --cov-report=term --cov-fail-under=90

smoke: $(READY) ## train and evaluate Table 5 at scale smoke
	$(BIN)/p2s study run --scale smoke --only table5 --jobs $(JOBS)

notebooks: $(READY) ## execute every notebook, at scale smoke and as it stands from its folder
	$(BIN)/python -m pytest tests/smoke_notebooks.py

slurm: $(READY) ## train by jobs of a Slurm of two nodes, lose some, compare: needs Debian's slurm-wlm and munge
	$(BIN)/python -m pytest tests/slurm/lost_jobs.py

drift: $(READY) ## hold tables and figures against the records
	$(BIN)/p2s study drift

lint: $(READY) ## format, lint, layers, types, notebooks without outputs
	$(BIN)/ruff format --check p2s tests
	$(BIN)/ruff check p2s tests
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(READY) ## pin every version that is installed now
	$(BIN)/pip freeze --exclude-editable --exclude sal-detectron2 --exclude centernet2 --exclude netcal --exclude setuptools > requirements.lock

lab: $(READY) ## explore the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=.

clean: ## remove caches, not records
	rm -rf .p2s .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage
