from bleuprint.corpus import arguments as corpus_arguments


rule corpus:
    input:
        [f"results/corpus/{key}/raw" for key in PLAN.stages["corpus"]],


rule raw_text:
    output:
        directory("results/corpus/{corpus}/raw"),
    log:
        "results/corpus/{corpus}/corpus.log",
    benchmark:
        "results/corpus/{corpus}/corpus.benchmark.tsv"
    conda:
        "../../envs/bleuprint.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        identity=lambda w: PLAN.stage("corpus", w.corpus).identity,
        # A function of `threads` is how, not what: Snakemake does not compare it with the last call's
        where=lambda w, threads: corpus_arguments(PLAN.stage("corpus", w.corpus).experiment.corpus, PLAN.runtime),
    shell:
        "(set -x; python -m bleuprint.record.folder {params.identity:q} results/corpus/{wildcards.corpus};"
        " python -m bleuprint.corpus --config results/corpus/{wildcards.corpus}/config.yaml --output {output}"
        " --downloads results/corpus/{wildcards.corpus}/downloads {params.where:q}) 2>&1 | tee {log}"
