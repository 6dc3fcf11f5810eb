# Every target sets itself up; a second call installs nothing. The text after ## is what `make help` prints.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
COMET := .venv-comet
# A Python 3.11 or 3.12, brought by uv where there is none; another one: make env PYTHON=..., or PYTHON in the environment
CHOOSE_PYTHON = python=$$(sh envs/python.sh $(VENV))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help env comet demo check unit lint test nightly long drill fuzz soak browser slurm docs pictures bench bench-gpu gpu-data wheels lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

# EXTRAS=slurm: what envs/slurm.lock pins, for jobs on a cluster
env: $(STAMP) $(EXTRAS:%=$(VENV)/.%) ## Install everything into .venv; with EXTRAS=slurm also what clusters need

# --no-deps: the lock holds all there is to install, and every file's hash. torch comes after it, so that it finds
# what it needs; its own build (CPU, or CUDA and its libraries) is the machine's choice.
$(STAMP): envs/requirements.lock envs/torch.txt pyproject.toml
	@$(CHOOSE_PYTHON) && set -x && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet -r envs/torch.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m bleuprint.plan.fairseq_flags
	touch $@

$(VENV)/.%: envs/%.lock $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	touch $@

# An environment of its own, as COMET wants other versions of the same packages; torch is chosen as in `env`
comet: $(COMET)/.complete ## Install COMET, a metric, into .venv-comet (1.4 GB with torch's CPU build)

$(COMET)/.complete: envs/comet.lock envs/torch.txt
	@$(CHOOSE_PYTHON) && set -x && "$$python" -m venv $(COMET)
	$(COMET)/bin/python -m pip install --quiet --no-deps --require-hashes -r envs/comet.lock
	$(COMET)/bin/python -m pip install --quiet -r envs/torch.txt
	touch $@

demo: env ## Run the whole pipeline on a generated corpus: minutes on a CPU
	snakemake --cores all --config recipe=demo

# Two jobs at a time, each one's output in one piece
check: env ## Check before each commit: linters, types, unit tests (under a minute)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target unit lint

# Tests that start no Snakemake, no fairseq and no browser; tests/conftest.py marks the others `slow`
unit: env ## Run the unit tests alone
	pytest -m "not slow" -n 2 --dist loadfile

# .pre-commit-config.yaml calls the same commands
lint: env ## Check format, style and types alone
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

# Two files at a time, the longest first; then one after the other what measures memory or time.
# --shares: a test file that takes much longer than it used to fails (tests/shares.py)
test: env browser slurm lint ## Check everything: linters, types, all tests (twelve minutes)
	pytest --shares -m "not alone" -n 2 --dist loadfile --no-loadscope-reorder
	pytest --shares -m alone

nightly: long drill fuzz soak ## Test what takes long: long, drill, fuzz and soak, one after the other

# Tests that bear @pytest.mark.nightly: a shorter one of the kind is in `make test`
long: env comet slurm ## Run the tests that are too long for `make test` (twenty minutes and more)
	pytest --nightly

# Other moments each time
drill: env ## Kill the demo at random moments; it must end in the same bits (about five minutes)
	python tests/drill.py

# The inputs of `make test`, many more of them, and others each time
fuzz: env ## Try many more hostile inputs than `make test` (a quarter of an hour)
	FUZZ=40 pytest tests/test_hostile.py

soak: env ## Train for 100 epochs; neither memory nor processes may grow
	python tests/soak.py

# The report is tested in headless Chromium: Debian's, installed here if that is possible
browser: ## Install Chromium for the tests of the report, where apt-get can
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
	|| { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 \
	|| echo 'The report is not tested in a browser: there is no chromium with chromedriver, and apt-get could not install them.'

# Its plugin for Snakemake lies in a folder of its own, which only tests/test_slurm.py names: Snakemake imports every
# plugin that it finds, and the other tests are faster without
slurm: $(VENV)/slurm/.complete ## Install SLURM for the tests of jobs on a cluster, where apt-get can
	@python tests/slurm/cluster.py install

$(VENV)/slurm/.complete: envs/slurm.lock $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r $<
	touch $@

docs: env ## Write the tables of config/README.md and docs/reference, and build the site into site/
	python -m bleuprint.commands.document
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

# Another demo that is finished: python tests/pictures.py --folder FOLDER
pictures: env browser ## Run the demo with two models, and make the pictures in docs/pictures of it
	python tests/pictures.py

# Its parts and options: python bench/run.py --help
bench: env ## Measure speed beside other programs (17 minutes on two cores)
	python bench/run.py

# What it needs and measures: bench/gpu.py. With WHEELS=FOLDER, of `make wheels`, nothing is fetched, and
# PYTHON is one that has torch; its packages are not touched
bench-gpu: $(if $(WHEELS),,env) ## Measure settings on a GPU (less than ten minutes)
ifdef WHEELS
	$(CHOOSE_PYTHON) && "$$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target bench/.gpu $(WHEELS)/*/*.whl
	$(CHOOSE_PYTHON) && PYTHONPATH=$(CURDIR)/bench/.gpu "$$python" bench/gpu.py
else
	python bench/gpu.py
endif

# The text that it is measured on, of an archive in the layout of IWSLT14's
ARCHIVE ?= ../shared/data/iwslt14_sample/de-en.tgz
gpu-data: env ## Pack the text that bench-gpu measures on
	python bench/gpu.py --pack $(ARCHIVE)

wheels: ## Download the packages that bench-gpu needs offline
	$(CHOOSE_PYTHON) && "$$python" bench/wheels.py wheels

lock: env ## For maintainers: resolve pyproject.toml again (needs uv), and write the conda files
	uv pip compile pyproject.toml --group dev --python-version 3.11 --constraint envs/torch.txt --torch-backend cpu --no-emit-package torch --generate-hashes --no-header --output-file envs/requirements.lock
	uv pip compile envs/comet.txt --python-version 3.11 --constraint envs/torch.txt --torch-backend cpu --no-emit-package torch --generate-hashes --no-header --output-file envs/comet.lock
	uv pip compile envs/slurm.txt --python-version 3.11 --constraint envs/requirements.lock --generate-hashes --no-header --output-file envs/slurm.lock
	uv pip compile --group set-up --python-version 3.11 --generate-hashes --no-header --output-file envs/uv.txt
	python envs/update.py
