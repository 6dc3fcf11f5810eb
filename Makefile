# make demo, make test and make bench set themselves up; a second call installs nothing.
# Another Python: make env PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: env demo test bench lock

env: $(STAMP)

# --no-deps: the lock holds all there is to install, and every file's hash. torch comes after it, so that it finds
# what it needs; its own build (CPU, or CUDA and its libraries) is the machine's choice.
$(STAMP): envs/requirements.lock envs/torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12)) or sys.exit("bleuprint needs Python 3.11 or 3.12, this is %d.%d; name one with PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet -r envs/torch.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m bleuprint.fairseq_flags
	touch $@

demo: env
	snakemake --cores all --config recipe=demo

test: env
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	pytest

bench: env
	python bench/run.py

# For maintainers: resolve pyproject.toml anew (needs uv), and write the conda files that go with it
lock: env
	uv pip compile pyproject.toml --group dev --python-version 3.11 --no-emit-package torch --generate-hashes --no-header --output-file envs/requirements.lock
	python envs/update.py
