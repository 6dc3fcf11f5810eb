from bleuprint.report import OUTPUTS
from bleuprint.report.groups import checked

BASELINE = checked([run.description for run in PLAN.runs], PLAN.baseline)


rule report:
    input:
        [f"results/report/{name}" for name in OUTPUTS],


rule gather_run:
    input:
        run_files,
    output:
        report("results/runs/{run}/scores.json", caption="../report/run.rst", category="Runs", subcategory="{run}"),
    log:
        "results/runs/{run}/gather.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        description=description,
        asked=asked,
    shell:
        "python -m bleuprint.report run {params.description:q} --asked {params.asked:q} > {log} 2>&1"


rule write_report:
    input:
        runs=[f"results/runs/{run.name}/scores.json" for run in PLAN.runs],
        sentences=results("scoring", "seal.json"),
    output:
        page=report("results/report/index.html", caption="../report/page.rst", category="Comparison"),
        tsv=report("results/report/scores.tsv", caption="../report/scores.rst", category="Comparison"),
        others=[f"results/report/{name}" for name in OUTPUTS if name not in ("index.html", "scores.tsv")],
    log:
        "results/report/report.log",
    conda:
        ENVIRONMENT
    threads: min(THREADS, 4)
    resources:
        mem_mb=memory(1000),
    params:
        baseline=BASELINE,
        runs=reported,
    shell:
        "python -m bleuprint.report table {params.runs} --folder results/report --baseline {params.baseline:q}"
        " --workers {threads} > {log} 2>&1"
