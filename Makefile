# make demo, make test and make bench set themselves up; a second call installs nothing.
# The first of these that is 3.11 or 3.12; another one: make env PYTHON=...
SUPPORTED := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(firstword $(foreach python,python3 python3.12 python3.11,$(shell $(python) -c '$(SUPPORTED)' 2>/dev/null && echo $(python))) python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: env demo test fuzz drill browser bench bench-gpu gpu-data wheels lock

env: $(STAMP)

# --no-deps: the lock holds all there is to install, and every file's hash. torch comes after it, so that it finds
# what it needs; its own build (CPU, or CUDA and its libraries) is the machine's choice.
$(STAMP): envs/requirements.lock envs/torch.txt pyproject.toml
	@$(PYTHON) -c '$(SUPPORTED)' || { echo 'bleuprint needs Python 3.11 or 3.12, found as python3, python3.12 or python3.11; or name it: make env PYTHON=...'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet -r envs/torch.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m bleuprint.plan.fairseq_flags
	touch $@

demo: env
	snakemake --cores all --config recipe=demo

test: env browser
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	pytest

# Many more of the made-up hostile inputs that `make test` tries a few of, and others each time; a quarter of an hour
fuzz: env
	FUZZ=40 pytest tests/test_hostile.py

# The demo, killed at random moments over all its stages, other ones each time, ends in the same bits; ten minutes
drill: env
	python tests/drill.py

# The report is tested in headless Chromium: Debian's, installed here if that is possible
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
	|| { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 \
	|| echo 'The report is not tested in a browser: there is no chromium with chromedriver, and apt-get could not install them.'

# Two cores, 17 minutes; its parts and options: python bench/run.py --help
bench: env
	python bench/run.py

# Less than ten minutes on a GPU; what it needs and measures: bench/gpu.py. With WHEELS=FOLDER nothing is fetched, and
# PYTHON is one that has torch; its packages are not touched
bench-gpu: $(if $(WHEELS),,env)
ifdef WHEELS
	$(PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target bench/.gpu $(WHEELS)/*.whl
	PYTHONPATH=$(CURDIR)/bench/.gpu $(PYTHON) bench/gpu.py
else
	python bench/gpu.py
endif

# The text that it is measured on, of an archive in the layout of IWSLT14's
ARCHIVE ?= ../shared/data/iwslt14_sample/de-en.tgz
gpu-data: env
	python bench/gpu.py --pack $(ARCHIVE)

wheels:
	$(PYTHON) bench/wheels.py wheels

# For maintainers: resolve pyproject.toml anew (needs uv), and write the conda files that go with it
lock: env
	uv pip compile pyproject.toml --group dev --python-version 3.11 --constraint envs/torch.txt --torch-backend cpu --no-emit-package torch --generate-hashes --no-header --output-file envs/requirements.lock
	python envs/update.py
