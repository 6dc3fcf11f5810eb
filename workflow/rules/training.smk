from bleuprint.machine.device import launcher, model_threads, products, uses_gpu
from bleuprint.plan.fairseq_flags import train, train_how
from bleuprint.training import choice_flags, keep, kind_flags, length_flags


rule training:
    input:
        [f"results/training/{key}/checkpoint.pt" for key in PLAN.stages["training"]],


rule train:
    input:
        data=lambda w: PLAN.upstream("training", w.training, "text", "bin"),
    output:
        checkpoint="results/training/{training}/checkpoint.pt",
        metrics="results/training/{training}/metrics.jsonl",
    # Snakemake empties it at each start; train.log, no file of Snakemake's, holds all sessions
    log:
        "results/training/{training}/session.log",
    benchmark:
        "results/training/{training}/train.benchmark.tsv"
    conda:
        "../../envs/bleuprint.yaml"
    threads: model_threads(PLAN.runtime, CORES)
    resources:
        gpu=int(uses_gpu(PLAN.runtime)),
        mem_mb=8000,
    params:
        identity=lambda w: PLAN.stage("training", w.training).identity,
        flags=lambda w: train(PLAN.stage("training", w.training).experiment),
        # Functions of `threads` are how, not what: Snakemake does not compare them with the last call's
        how=lambda w, threads: train_how(
            PLAN.stage("training", w.training).experiment, PLAN.runtime, f"results/training/{w.training}"
        ),
        length=lambda w, threads: length_flags(PLAN.stage("training", w.training).experiment.training),
        kind=lambda w, threads: kind_flags(PLAN.stage("training", w.training).experiment.training),
        choice=lambda w, threads: choice_flags(PLAN.stage("training", w.training).experiment.training),
        keep=lambda w, threads: keep(PLAN.stage("training", w.training).experiment.training),
        products=lambda w, threads: products(PLAN.stage("training", w.training).experiment.training, PLAN.runtime),
        launcher=lambda w, threads: launcher(
            PLAN.runtime, PLAN.stage("training", w.training).experiment.training.deterministic
        ),
    shell:
        # The save-dir is no output: it survives a failed job, and the next one goes on from its checkpoints
        "folder=results/training/{wildcards.training};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder;"
        " python -m bleuprint.training.resume --save-dir $folder/checkpoints {params.kind}; export OMP_NUM_THREADS={threads};"
        " {params.products} {params.launcher} {params.keep}fairseq-train {input.data} {params.flags} --save-dir $folder/checkpoints {params.how}) 2>&1"
        " | python -m bleuprint.training.progress --name {wildcards.training} --session {log} --log $folder/train.log --metrics {output.metrics}"
        " {params.length};"
        " (set -x; python -m bleuprint.training.checkpoint --save-dir $folder/checkpoints {params.choice}"
        " --output {output.checkpoint}) 2>&1 | tee -a {log} $folder/train.log >&2"
