"""bleuprint: corpus → text → training → decoding → scoring → report, driven by the Hydra tree in config/."""

import sys

from snakemake.utils import min_version

min_version("9.0")

# Jobs find the package, also in conda environments, and hold their lock (alone.py); `:q` quotes the path for bash
sys.path.insert(0, PACKAGE := f"{workflow.current_basedir}/workflow")
shell.prefix(
    "set -euo pipefail; export PYTHONPATH={PACKAGE:q}${{PYTHONPATH:+:$PYTHONPATH}}; mkdir -p results;"
    " exec 9<>results/.jobs; flock --shared 9 || true; "
)

from bleuprint.commands.call import after_failure, after_success, begin
from bleuprint.commands.called import cores, planned_call
from bleuprint.report import OUTPUTS

PLAN = planned_call(workflow, config)
CORES = cores(workflow)


rule all:
    input:
        [f"results/report/{name}" for name in OUTPUTS],


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/text.smk"
include: "workflow/rules/testset.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/decoding.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/report.smk"


onstart:
    begin(workflow, PLAN, THREADS)


onsuccess:
    after_success(workflow)


onerror:
    after_failure(workflow, PLAN, log)
