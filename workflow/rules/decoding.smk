from bleuprint.decoding.engine import engine, quantisation, translate_how
from bleuprint.decoding.engine import translate as ctranslate2_flags
from bleuprint.machine.device import launcher, model_threads, uses_gpu
from bleuprint.plan.fairseq_flags import PLUGIN, generate, generate_how
from bleuprint.files import canonical

ENGINES = {key: engine(stage.experiment) for key, stage in PLAN.stages["decoding"].items()}
# The decodings that are an engine's, as a pattern; of each the other engine's rules know nothing
DECODED_BY = {
    name: "|".join(key for key in ENGINES if ENGINES[key] == name) or "none" for name in ("fairseq", "ctranslate2")
}


rule decoding:
    input:
        [f"results/decoding/{key}/hypotheses.txt" for key in PLAN.stages["decoding"]],


rule tune:
    input:
        data=lambda w: PLAN.upstream("decoding", w.decoding, "text", "bin"),
        references=lambda w: PLAN.upstream("decoding", w.decoding, "text", "tokenized"),
        checkpoints=lambda w: PLAN.checkpoints(w.decoding),
    output:
        tuned="results/decoding/{decoding}/tuned.json",
        flags="results/decoding/{decoding}/tuned.flags",
    log:
        "results/decoding/{decoding}/tune.log",
    benchmark:
        "results/decoding/{decoding}/tune.benchmark.tsv"
    conda:
        "../../envs/bleuprint.yaml"
    threads: model_threads(PLAN.runtime, CORES)
    resources:
        gpu=int(uses_gpu(PLAN.runtime)),
        mem_mb=8000,
    params:
        identity=lambda w: PLAN.stage("decoding", w.decoding).identity,
        grid=lambda w: canonical(PLAN.stage("decoding", w.decoding).experiment.decoding.grid()),
        flags=lambda w: generate(PLAN.stage("decoding", w.decoding).experiment),
        path=lambda w: ":".join(PLAN.checkpoints(w.decoding)),
        # A function of `threads` is how, not what: Snakemake does not compare it with the last call's
        how=lambda w, threads: generate_how(PLAN.stage("decoding", w.decoding).experiment, PLAN.runtime),
        target=lambda w: PLAN.stage("decoding", w.decoding).experiment.target,
        launcher=lambda w, threads: launcher(
            PLAN.runtime, PLAN.stage("decoding", w.decoding).experiment.training.deterministic
        ),
    shell:
        # Each point's translations lie in a folder that is no output: a call that was stopped goes on with the others
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder; export OMP_NUM_THREADS={threads};"
        " {params.launcher} python -m bleuprint.decoding.tune --grid {params.grid:q}"
        " --references {input.references}/valid.{params.target} --models {input.checkpoints} --folder $folder/tune"
        " --output {output.tuned} --flags {output.flags} --"
        " fairseq-generate {input.data} --path {params.path} {params.flags} {params.how}) > {log} 2>&1"


rule translate:
    input:
        data=lambda w: PLAN.upstream("decoding", w.decoding, "text", "bin"),
        references=lambda w: PLAN.upstream("decoding", w.decoding, "text", "tokenized"),
        checkpoints=lambda w: PLAN.checkpoints(w.decoding),
        tuned=lambda w: PLAN.tuned(w.decoding, "tuned.json", "tuned.flags"),
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
    wildcard_constraints:
        decoding=DECODED_BY["fairseq"],
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
        path=lambda w, threads: ":".join(PLAN.checkpoints(w.decoding)),
        tuned=lambda w, threads: "".join(f"$(cat {file}) " for file in PLAN.tuned(w.decoding, "tuned.flags")),
        target=lambda w: PLAN.stage("decoding", w.decoding).experiment.target,
        tokenizer=lambda w: PLAN.stage("decoding", w.decoding).experiment.text.tokenizer,
        launcher=lambda w, threads: launcher(
            PLAN.runtime, PLAN.stage("decoding", w.decoding).experiment.training.deterministic
        ),
    shell:
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder; export OMP_NUM_THREADS={threads};"
        " {params.launcher} fairseq-generate {input.data} --path {params.path} {params.flags} {params.tuned}--results-path $folder {params.how};"
        " python -m bleuprint.decoding --generated {output.generated}"
        " --references {input.references}/test.{params.target} --language {params.target}"
        " --tokenizer {params.tokenizer} --tokens {output.tokens} --text {output.text}) > {log} 2>&1"


rule convert:
    input:
        data=lambda w: PLAN.upstream("decoding", w.decoding, "text", "bin"),
        checkpoint=lambda w: PLAN.upstream("decoding", w.decoding, "training", "checkpoint.pt"),
    output:
        directory("results/decoding/{decoding}/ctranslate2"),
    log:
        "results/decoding/{decoding}/convert.log",
    benchmark:
        "results/decoding/{decoding}/convert.benchmark.tsv"
    wildcard_constraints:
        decoding=DECODED_BY["ctranslate2"],
    conda:
        "../../envs/bleuprint.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        languages=lambda w: "--source_lang {0.source} --target_lang {0.target}".format(
            PLAN.stage("decoding", w.decoding).experiment
        ),
        quantisation=lambda w: quantisation(PLAN.stage("decoding", w.decoding).experiment),
        # A function of `threads` is how, not what: Snakemake does not compare it with the last call's
        plugin=lambda w, threads: PLUGIN,
    shell:
        "(set -x; export OMP_NUM_THREADS={threads}; ct2-fairseq-converter --model_path {input.checkpoint}"
        " --data_dir {input.data} {params.languages} --user_dir {params.plugin:q} {params.quantisation}"
        " --output_dir {output}) > {log} 2>&1"


rule translate_converted:
    input:
        model="results/decoding/{decoding}/ctranslate2",
        source=lambda w: PLAN.upstream("decoding", w.decoding, "text", "bpe"),
    output:
        tokens="results/decoding/{decoding}/hypotheses.tok",
        text=report(
            "results/decoding/{decoding}/hypotheses.txt", caption="../report/hypotheses.rst", category="Translations"
        ),
    log:
        "results/decoding/{decoding}/translate.log",
    benchmark:
        "results/decoding/{decoding}/translate.benchmark.tsv"
    wildcard_constraints:
        decoding=DECODED_BY["ctranslate2"],
    conda:
        "../../envs/bleuprint.yaml"
    threads: model_threads(PLAN.runtime, CORES)
    resources:
        gpu=int(uses_gpu(PLAN.runtime)),
        mem_mb=4000,
    params:
        identity=lambda w: PLAN.stage("decoding", w.decoding).identity,
        flags=lambda w: ctranslate2_flags(PLAN.stage("decoding", w.decoding).experiment),
        source=lambda w: PLAN.stage("decoding", w.decoding).experiment.source,
        target=lambda w: PLAN.stage("decoding", w.decoding).experiment.target,
        tokenizer=lambda w: PLAN.stage("decoding", w.decoding).experiment.text.tokenizer,
        # Functions of `threads` are how, not what: Snakemake does not compare them with the last call's
        how=lambda w, threads: translate_how(PLAN.stage("decoding", w.decoding).experiment, PLAN.runtime),
        launcher=lambda w, threads: launcher(PLAN.runtime, deterministic=False),
    shell:
        "(set -x; python -m bleuprint.record.folder {params.identity:q} results/decoding/{wildcards.decoding};"
        " {params.launcher} python -m bleuprint.decoding.ctranslate --model {input.model}"
        " --source {input.source}/test.{params.source} {params.flags} {params.how}"
        " --threads {threads} --language {params.target} --tokenizer {params.tokenizer}"
        " --tokens {output.tokens} --text {output.text}) > {log} 2>&1"
