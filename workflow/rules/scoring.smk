rule scoring:
    input:
        results("scoring", "scores.json", "seal.json"),


rule score:
    input:
        tokens=upstream("scoring", "decoding", "hypotheses.tok"),
        text=upstream("scoring", "decoding", "hypotheses.txt"),
        tokenized=tested("scoring", "tokenized"),
        raw=tested("scoring", "raw"),
        sealed=test_seals("scoring", "decoding", "text", "corpus"),
    output:
        scores="results/scoring/{scoring}/scores.json",
        sentences="results/scoring/{scoring}/sentences.json",
        seal="results/scoring/{scoring}/seal.json",
    log:
        "results/scoring/{scoring}/score.log",
    benchmark:
        "results/scoring/{scoring}/score.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: by_model(MODEL_THREADS, 1)
    resources:
        gpu=by_model(GPU, 0),
        mem_mb=by_model(8000, 2000),
    params:
        identity=identity("scoring"),
        target=what("scoring", attrgetter("target")),
        how=how("scoring", pieces.score),
    shell:
        "folder=results/scoring/{wildcards.scoring};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input};"
        " export OMP_NUM_THREADS={threads};"
        " {params.how[launcher]}python -m bleuprint.scoring --config $folder/config.yaml"
        " --tokens {input.tokens} {input.tokenized}/test.{params.target}"
        " --detokenised {input.text} {input.raw}/test.{params.target} --output {output.scores}"
        " --sentences {output.sentences} {params.how[texts]}; python -m bleuprint.record.seal $folder) > {log} 2>&1"
