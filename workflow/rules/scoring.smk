rule scoring:
    input:
        [f"results/scoring/{key}/scores.json" for key in PLAN.stages["scoring"]],


rule score:
    input:
        tokens=lambda w: PLAN.upstream("scoring", w.scoring, "decoding", "hypotheses.tok"),
        text=lambda w: PLAN.upstream("scoring", w.scoring, "decoding", "hypotheses.txt"),
        tokenized=lambda w: PLAN.upstream("scoring", w.scoring, "text", "tokenized"),
        raw=lambda w: PLAN.upstream("scoring", w.scoring, "corpus", "raw"),
    output:
        scores="results/scoring/{scoring}/scores.json",
        sentences="results/scoring/{scoring}/sentences.json",
    log:
        "results/scoring/{scoring}/score.log",
    benchmark:
        "results/scoring/{scoring}/score.benchmark.tsv"
    conda:
        "../../envs/bleuprint.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        identity=lambda w: PLAN.stage("scoring", w.scoring).identity,
        target=lambda w: PLAN.stage("scoring", w.scoring).experiment.target,
    shell:
        "(set -x; python -m bleuprint.record.folder {params.identity:q} results/scoring/{wildcards.scoring};"
        " python -m bleuprint.scoring --config results/scoring/{wildcards.scoring}/config.yaml"
        " --tokens {input.tokens} {input.tokenized}/test.{params.target}"
        " --detokenised {input.text} {input.raw}/test.{params.target} --output {output.scores}"
        " --sentences {output.sentences}) > {log} 2>&1"
