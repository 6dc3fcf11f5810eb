rule corpus:
    input:
        results("corpus", "raw"),


rule raw_text:
    output:
        directory("results/corpus/{corpus}/raw"),
    log:
        "results/corpus/{corpus}/corpus.log",
    benchmark:
        "results/corpus/{corpus}/corpus.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        identity=identity("corpus"),
        how=how("corpus", pieces.raw_text),
    shell:
        "(set -x; python -m bleuprint.record.folder {params.identity:q} results/corpus/{wildcards.corpus};"
        " python -m bleuprint.corpus --config results/corpus/{wildcards.corpus}/config.yaml --output {output}"
        " --downloads results/corpus/{wildcards.corpus}/downloads {params.how[sources]}) 2>&1 | tee {log}"
