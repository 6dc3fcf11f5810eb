# Further test sets, of corpus.tests: prepared with the segmenter and the dictionaries of a text, which stay as they are
rule testset:
    input:
        results("testset", "bin", "seal.json"),


rule fetch_test:
    input:
        genuine,
    output:
        raw=directory("results/testset/{testset}/raw"),
    log:
        "results/testset/{testset}/fetch_test.log",
    benchmark:
        "results/testset/{testset}/fetch_test.benchmark.tsv"
    # First, so that a fault of a test set is reported before the training
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        identity=identity("testset"),
        how=how("testset", pieces.fetch_test),
    shell:
        "folder=results/testset/{wildcards.testset};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input}) > {log} 2>&1;"
        " (BASH_XTRACEFD=8; set -x; python -m bleuprint.corpus.{params.how[program]} --output {output.raw})"
        " 8>> {log} 2>&1 >> {log} | tee -a {log} >&2"


rule prepare_test:
    input:
        raw="results/testset/{testset}/raw",
        segmenter=test_segmenter,
        dictionaries=upstream("testset", "text", "bin"),
        sealed=seals("testset", "text"),
    output:
        tokenized=directory("results/testset/{testset}/tokenized"),
        segmented=directory("results/testset/{testset}/segmented"),
        bin=directory("results/testset/{testset}/bin"),
        seal="results/testset/{testset}/seal.json",
    log:
        "results/testset/{testset}/prepare_test.log",
    benchmark:
        "results/testset/{testset}/prepare_test.benchmark.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        identity=identity("testset"),
        how=how("testset", pieces.prepare_test),
    shell:
        "folder=results/testset/{wildcards.testset}; rm -rf {output.bin}.part;"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input}) >> {log} 2>&1;"
        " (BASH_XTRACEFD=8; set -x; python -m bleuprint.text.test_set --text {params.how[text]} --raw {input.raw}"
        " --output {output.tokenized}) 8>> {log} 2>&1 >> {log} | tee -a {log} >&2;"
        " (set -x; python -m bleuprint.text.{params.how[apply]} {input.segmenter} --output {output.segmented}"
        " --workers {threads} {params.how[files]};"
        " fairseq-preprocess {params.how[languages]} --srcdict {params.how[source]} --tgtdict {params.how[target]}"
        " --testpref {output.segmented}/test --destdir {output.bin}.part;"
        " mv {output.bin}.part {output.bin}) >> {log} 2>&1;"
        " (BASH_XTRACEFD=8; set -x; {params.how[check]}) 8>> {log} 2>&1 >> {log} | tee -a {log} >&2;"
        " (set -x; python -m bleuprint.record.seal $folder) >> {log} 2>&1"
