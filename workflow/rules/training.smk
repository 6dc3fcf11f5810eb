from bleuprint.plan.fairseq_flags import train


rule training:
    input:
        results("training", "checkpoint.pt"),


rule train:
    input:
        data=upstream("training", "text", "bin"),
    output:
        checkpoint="results/training/{training}/checkpoint.pt",
        metrics="results/training/{training}/metrics.jsonl",
    # Snakemake empties it at each start; train.log, which it does not know, holds all sessions
    log:
        "results/training/{training}/session.log",
    benchmark:
        "results/training/{training}/train.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: MODEL_THREADS
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        identity=identity("training"),
        flags=what("training", train),
        how=how("training", pieces.train),
    shell:
        # The save-dir is no output: it survives a failed job, and the next one resumes from its checkpoints
        "folder=results/training/{wildcards.training};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder;"
        " python -m bleuprint.training.resume --save-dir $folder/checkpoints {params.how[resume]};"
        " export OMP_NUM_THREADS={threads};"
        " {params.how[launcher]} fairseq-train {input.data} {params.flags}"
        " --save-dir $folder/checkpoints {params.how[fairseq]}) 2>&1"
        " | python -m bleuprint.training.progress --name {wildcards.training} --session {log}"
        " --log $folder/train.log --metrics {output.metrics} {params.how[progress]};"
        " (set -x; python -m bleuprint.training.checkpoint --save-dir $folder/checkpoints {params.how[checkpoint]}"
        " --output {output.checkpoint}) 2>&1 | tee -a {log} $folder/train.log >&2"
