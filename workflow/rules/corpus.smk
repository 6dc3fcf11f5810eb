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
        # The terminal shows standard error: warnings and the bar of a download. The log has the rest, too
        "folder=results/corpus/{wildcards.corpus};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder) > {log} 2>&1;"
        " (BASH_XTRACEFD=8; set -x; python -m bleuprint.corpus --config $folder/config.yaml --output {output.raw}"
        " --downloads $folder/downloads {params.how[sources]}) 8>> {log} 2>&1 >> {log} | tee -a {log} >&2;"
        " (set -x; python -m bleuprint.record.seal $folder) >> {log} 2>&1"
