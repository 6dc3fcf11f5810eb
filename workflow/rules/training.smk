from bleuprint.plan.fairseq_flags import train


rule training:
    input:
        results("training", "seal.json"),


rule train:
    input:
        data=upstream("training", "text", "bin"),
        sealed=seals("training", "text"),
        start=start,
    # Nothing else is an output: what Snakemake reruns loses its outputs first, and a model stays until the next one
    # takes its place
    output:
        update("results/training/{training}/seal.json"),
    # Snakemake empties it at each start; train.log, which it does not know, holds all sessions
    log:
        "results/training/{training}/session.log",
    benchmark:
        "results/training/{training}/train.benchmark.tsv"
    retries: RETRIES
    conda:
        ENVIRONMENT
    threads: training_threads
    resources:
        **MACHINES,
        gpu=training_gpus,
        mem_mb=training_mb,
        runtime=training_minutes,
    params:
        identity=identity("training"),
        flags=what("training", train),
        how=how("training", pieces.train),
        each=threads_each,
    shell:
        # The save-dir is no output: it survives a failed job, and the next one resumes from its checkpoints
        # A scheduler's SIGTERM reaches these shells too: they wait for the training, which saves
        "trap : TERM; folder=results/training/{wildcards.training};"
        " python -m bleuprint.record.seal --holds $folder && exit 0;"
        # What holds this lock is a training that another call, also on another machine, has left here
        f" exec 8>>$folder/train.log; flock --timeout {LOCK_PATIENCE} --conflict-exit-code 75 8 || [ $? != 75 ]"
        ' || {{ echo "bleuprint: another training is at work in $folder; wait until it has ended." | tee {log} >&2;'
        " exit 1; }};"
        " (trap : TERM; set -x;"
        " python -m bleuprint.record.folder {params.identity:q} $folder {input} {params.how[others]};"
        " python -m bleuprint.training.resume --save-dir $folder/checkpoints {params.how[resume]};"
        # Snakemake sets the second one to the threads of all processes
        " export OMP_NUM_THREADS={params.each} MKL_NUM_THREADS={params.each};"
        " {params.how[launcher]} fairseq-train {params.how[data]} {params.flags}"
        " --save-dir $folder/checkpoints {params.how[fairseq]}) 2>&1"
        " | python -m bleuprint.training.progress --name {wildcards.training} --session {log}"
        " --log $folder/train.log --metrics $folder/metrics.jsonl {params.how[progress]};"
        " (set -x; python -m bleuprint.training.checkpoint --save-dir $folder/checkpoints {params.how[checkpoint]}"
        " --output $folder/checkpoint.pt; python -m bleuprint.record.seal $folder) 2>&1"
        " | tee -a {log} $folder/train.log | {{ grep '^bleuprint: ' >&2 || true; }}"
