rule report:
    input:
        "results/report/scores.json",


rule gather_run:
    input:
        lambda w: [
            PLAN.run(w.run).file("training", "checkpoint.pt"),
            PLAN.run(w.run).file("training", "metrics.jsonl"),
            PLAN.run(w.run).file("decoding", "hypotheses.txt"),
            PLAN.run(w.run).file("scoring", "scores.json"),
        ],
    output:
        "results/runs/{run}/scores.json",
    log:
        "results/runs/{run}/gather.log",
    conda:
        "../../envs/bleuprint.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        description=lambda w: PLAN.run(w.run).description,
    shell:
        "python -m bleuprint.report run {params.description:q} > {log} 2>&1"


rule write_report:
    input:
        [f"results/runs/{run.name}/scores.json" for run in PLAN.runs],
    output:
        json="results/report/scores.json",
        tsv="results/report/scores.tsv",
        table="results/report/scores.txt",
    log:
        "results/report/report.log",
    conda:
        "../../envs/bleuprint.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "python -m bleuprint.report table {input} --folder results/report > {log} 2>&1"
