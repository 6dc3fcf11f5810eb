"""bleuprint: corpus → text → training → decoding → scoring → report, driven by the Hydra tree in config/."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# So that the rules' commands find the package in conda environments of their own, too
sys.path.insert(0, f"{workflow.basedir}/workflow")
shell.prefix(f'set -euo pipefail; export PYTHONPATH="{sys.path[0]}"; ')

from bleuprint.device import refuse, uses_gpu
from bleuprint.plan import planned
from bleuprint.report import last_words

PLAN = planned(config)
THREADS = PLAN.runtime.threads or workflow.cores or 1
GPUS = int(uses_gpu(PLAN.runtime))


rule all:
    input:
        "results/report/scores.json",


include: "workflow/rules/corpus.smk"
include: "workflow/rules/text.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/decoding.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/report.smk"


onstart:
    keys = [job.wildcards.training for job in workflow.dag.needrun_jobs() if job.rule.name == "train"]
    refuse([PLAN.stage("training", key).experiment for key in keys], min(THREADS, workflow.cores))


onsuccess:
    if any(job.rule.name == "write_report" for job in workflow.dag.jobs):
        print(Path("results/report/scores.txt").read_text())


onerror:
    print(last_words(log), file=sys.stderr)
