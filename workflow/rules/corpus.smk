rule corpus:
    input:
        results("corpus", "raw", "seal.json"),


rule raw_text:
    output:
        raw=directory("results/corpus/{corpus}/raw"),
        seal="results/corpus/{corpus}/seal.json",
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
        "folder=results/corpus/{wildcards.corpus};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder;"
        " python -m bleuprint.corpus --config $folder/config.yaml --output {output.raw}"
        " --downloads $folder/downloads {params.how[sources]};"
        " python -m bleuprint.record.seal $folder) 2>&1 | tee {log}"
