from bleuprint.device import lease, model_threads, uses_gpu
from bleuprint.fairseq_flags import generate, generate_how


rule decoding:
    input:
        [f"results/decoding/{key}/hypotheses.txt" for key in PLAN.stages["decoding"]],


rule translate:
    input:
        data=lambda w: PLAN.upstream("decoding", w.decoding, "text", "bin"),
        references=lambda w: PLAN.upstream("decoding", w.decoding, "text", "tokenized"),
        checkpoint=lambda w: PLAN.upstream("decoding", w.decoding, "training", "checkpoint.pt"),
    output:
        generated="results/decoding/{decoding}/generate-test.txt",
        tokens="results/decoding/{decoding}/hypotheses.tok",
        text=report(
            "results/decoding/{decoding}/hypotheses.txt", caption="../report/hypotheses.rst", category="Translations"
        ),
    log:
        "results/decoding/{decoding}/translate.log",
    benchmark:
        "results/decoding/{decoding}/translate.benchmark.tsv"
    conda:
        "../../envs/bleuprint.yaml"
    threads: model_threads(PLAN.runtime, CORES)
    resources:
        gpu=int(uses_gpu(PLAN.runtime)),
        mem_mb=8000,
    params:
        identity=lambda w: PLAN.stage("decoding", w.decoding).identity,
        flags=lambda w: generate(PLAN.stage("decoding", w.decoding).experiment),
        # A function of `threads` is how, not what: Snakemake does not compare it with the last call's
        how=lambda w, threads: generate_how(PLAN.stage("decoding", w.decoding).experiment, PLAN.runtime),
        target=lambda w: PLAN.stage("decoding", w.decoding).experiment.target,
        tokenizer=lambda w: PLAN.stage("decoding", w.decoding).experiment.text.tokenizer,
        lease=lambda w, threads: lease(
            PLAN.runtime, PLAN.stage("decoding", w.decoding).experiment.training.deterministic
        ),
    shell:
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.folder {params.identity:q} $folder; export OMP_NUM_THREADS={threads};"
        " {params.lease} fairseq-generate {input.data} --path {input.checkpoint} {params.flags} --results-path $folder {params.how};"
        " python -m bleuprint.decoding --generated {output.generated}"
        " --references {input.references}/test.{params.target} --language {params.target}"
        " --tokenizer {params.tokenizer} --tokens {output.tokens} --text {output.text}) > {log} 2>&1"
