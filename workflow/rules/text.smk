from bleuprint.plan.fairseq_flags import preprocess, sentencepiece


rule text:
    input:
        results("text", "bin", "checks.json", "seal.json"),


rule tokenise:
    input:
        raw=upstream("text", "corpus", "raw"),
        sealed=seals("text", "corpus"),
        given=given_vocabulary,
        made=made_pairs,
    output:
        tokenized=directory("results/text/{text}/tokenized"),
        cleaning="results/text/{text}/cleaning.json",
    log:
        "results/text/{text}/tokenise.log",
    benchmark:
        "results/text/{text}/tokenise.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        identity=identity("text"),
        how=how("text", pieces.tokenise),
    shell:
        # As in corpus.smk, the terminal shows standard error, and the log all
        "folder=results/text/{wildcards.text};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input}) > {log} 2>&1;"
        " (BASH_XTRACEFD=8; set -x;"
        " python -m bleuprint.text.tokenise --config $folder/config.yaml --raw {input.raw} --output {output.tokenized}"
        " --cleaning {output.cleaning} --min-kept {params.how[least]} --workers {threads} {params.how[made]}"
        " {params.how[test_sets]})"
        " 8>> {log} 2>&1 >> {log} | tee -a {log} >&2"


rule check_text:
    input:
        tokenized="results/text/{text}/tokenized",
        cleaning="results/text/{text}/cleaning.json",
    output:
        "results/text/{text}/checks.json",
    log:
        "results/text/{text}/check_text.log",
    benchmark:
        "results/text/{text}/check_text.benchmark.tsv"
    # So that a leak is reported before the training, and not after it
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        languages=what("text", "--source {0.source} --target {0.target}".format),
        how=how("text", pieces.check_text),
    shell:
        "(BASH_XTRACEFD=8; set -x; python -m bleuprint.corpus.checks --text {input.tokenized} --raw {params.how[raw]}"
        " {params.languages} --cleaning {input.cleaning} --output {output} --doubts {params.how[doubts]})"
        " 8> {log} 2>&1 | tee -a {log} >&2"


rule learn_bpe:
    input:
        tokenized="results/text/{text}/tokenized",
    output:
        "results/text/{text}/codes",
    log:
        "results/text/{text}/learn_bpe.log",
    benchmark:
        "results/text/{text}/learn_bpe.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
    params:
        merges=what("text", attrgetter("text.merges")),
        how=how("text", pieces.learn),
    shell:
        "(set -x; python -m bleuprint.text.learn_bpe --input {input.tokenized}/train.both --output {output}"
        " --symbols {params.merges} {params.how[given]}) > {log} 2>&1"


rule learn_sentencepiece:
    input:
        tokenized="results/text/{text}/tokenized",
    output:
        "results/text/{text}/sentencepiece.model",
    log:
        "results/text/{text}/learn_sentencepiece.log",
    benchmark:
        "results/text/{text}/learn_sentencepiece.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
    params:
        flags=what("text", sentencepiece),
        how=how("text", pieces.learn),
    shell:
        "(set -x; python -m bleuprint.text.learn_sentencepiece --input {input.tokenized}/train.both --output {output}"
        " {params.flags} {params.how[given]}) > {log} 2>&1"


rule apply_bpe:
    input:
        tokenized="results/text/{text}/tokenized",
        codes="results/text/{text}/codes",
    output:
        directory("results/text/{text}/bpe"),
    log:
        "results/text/{text}/apply_bpe.log",
    benchmark:
        "results/text/{text}/apply_bpe.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        how=how("text", pieces.segment),
    shell:
        "(set -x; python -m bleuprint.text.apply_bpe --codes {input.codes} --output {output} --workers {threads}"
        " {params.how[drawn]} $(ls -d {input.tokenized}/* | grep -v '[.]both$'); {params.how[made]}) > {log} 2>&1;"
        " python -m bleuprint.text.lengths {output}/* 2>&1 | tee -a {log} >&2"


rule apply_sentencepiece:
    input:
        tokenized="results/text/{text}/tokenized",
        model="results/text/{text}/sentencepiece.model",
    output:
        directory("results/text/{text}/pieces"),
    log:
        "results/text/{text}/apply_sentencepiece.log",
    benchmark:
        "results/text/{text}/apply_sentencepiece.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        how=how("text", pieces.segment),
    shell:
        "(set -x; python -m bleuprint.text.apply_sentencepiece --model {input.model} --output {output}"
        " --workers {threads} {params.how[drawn]} $(ls -d {input.tokenized}/* | grep -v '[.]both$');"
        " {params.how[made]}) > {log} 2>&1;"
        " python -m bleuprint.text.lengths {output}/* 2>&1 | tee -a {log} >&2"


rule binarise:
    input:
        tokenized="results/text/{text}/tokenized",
        segmented=segments,
        checks="results/text/{text}/checks.json",
    output:
        bin=directory("results/text/{text}/bin"),
        seal="results/text/{text}/seal.json",
    log:
        "results/text/{text}/binarise.log",
    benchmark:
        "results/text/{text}/binarise.benchmark.tsv"
    wildcard_constraints:
        text=segmented_often(False),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        flags=what("text", preprocess),
        how=how("text", pieces.binarise),
        workers=chunks,
    shell:
        # Text with another fingerprint than the known one fails the job, so that nothing is trained on it
        "folder=results/text/{wildcards.text}; rm -rf {output.bin}.part;"
        " (set -x; fairseq-preprocess {params.flags} {params.how[dictionaries]} --trainpref {input.segmented}/train"
        " --validpref {input.segmented}/valid --testpref {input.segmented}/test --destdir {output.bin}.part"
        " --workers {params.workers};"
        " mv {output.bin}.part {output.bin}) > {log} 2>&1;"
        " python -m bleuprint.text.fingerprint --folder $folder --expected {params.how[expected]}"
        " --difference {params.how[difference]} --doubts {params.how[doubts]} 2>&1 | tee -a {log};"
        " (set -x; python -m bleuprint.record.seal $folder) >> {log} 2>&1"


# Of several segmentations each is a folder, bin, bin2 and so on, which a training reads in turn; all share a dictionary
rule binarise_segmentations:
    input:
        tokenized="results/text/{text}/tokenized",
        segmented=segments,
        checks="results/text/{text}/checks.json",
    output:
        bin=directory("results/text/{text}/bin"),
        seal="results/text/{text}/seal.json",
    log:
        "results/text/{text}/binarise.log",
    benchmark:
        "results/text/{text}/binarise.benchmark.tsv"
    wildcard_constraints:
        text=segmented_often(True),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=1000,
    params:
        flags=what("text", preprocess),
        how=how("text", pieces.binarise_segmentations),
        workers=chunks,
    shell:
        "folder=results/text/{wildcards.text}; rm -rf {output.bin} {output.bin}[.0-9]*;"
        " (set -x; python -m bleuprint.text.dictionary {params.how[dictionary]} --segmented {input.segmented}"
        " --output {output.bin}.part --workers {threads}) > {log} 2>&1;"
        " for number in {params.how[others]}; do (set -x; fairseq-preprocess {params.flags} {params.how[dictionaries]}"
        " --trainpref {input.segmented}/train$number --destdir {output.bin}$number --workers {params.workers})"
        " >> {log} 2>&1; done;"
        " (set -x; fairseq-preprocess {params.flags} {params.how[dictionaries]} --trainpref {input.segmented}/train"
        " --validpref {input.segmented}/valid --testpref {input.segmented}/test --destdir {output.bin}.part"
        " --workers {params.workers}; mv {output.bin}.part {output.bin}) >> {log} 2>&1;"
        " python -m bleuprint.text.fingerprint --folder $folder --expected {params.how[expected]}"
        " --difference {params.how[difference]} --doubts {params.how[doubts]} 2>&1 | tee -a {log};"
        " (set -x; python -m bleuprint.record.seal $folder) >> {log} 2>&1"
