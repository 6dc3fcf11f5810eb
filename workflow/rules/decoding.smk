from bleuprint.decoding.engine import quantisation
from bleuprint.decoding.engine import translate as ctranslate2_flags
from bleuprint.plan.fairseq_flags import generate


rule decoding:
    input:
        results("decoding", "hypotheses.txt", "seal.json"),


rule tune:
    input:
        data=upstream("decoding", "text", "bin"),
        references=upstream("decoding", "text", "tokenized"),
        models=models,
        sealed=seals("decoding", "text"),
    output:
        tuned="results/decoding/{decoding}/tuned.json",
        flags="results/decoding/{decoding}/tuned.flags",
    log:
        "results/decoding/{decoding}/tune.log",
    benchmark:
        "results/decoding/{decoding}/tune.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: MODEL_THREADS
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        identity=identity("decoding"),
        grid=what("decoding", grid),
        flags=what("decoding", generate),
        how=how("decoding", pieces.translate),
    shell:
        # Each point's translations lie in a folder that is no output, so that a stopped call can resume
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input} {params.how[models]}"
        " {params.how[plugins]};"
        " export OMP_NUM_THREADS={threads};"
        " {params.how[launcher]} python -m bleuprint.decoding.tune --grid {params.grid:q}"
        " --references {input.references}/valid.{params.how[target]} --models {params.how[models]}"
        " --segmenter {params.how[segmenter]} --tokenize {params.how[tokenize]} --folder $folder/tune"
        " --output {output.tuned} --flags {output.flags} --"
        " fairseq-generate {input.data} --path {params.how[path]} {params.flags} {params.how[fairseq]}) > {log} 2>&1"


rule translate:
    input:
        data=tested("decoding", "bin"),
        references=tested("decoding", "tokenized"),
        models=models,
        sealed=test_seals("decoding", "text"),
        tuned=tuned,
    output:
        generated="results/decoding/{decoding}/generate-test.txt",
        tokens="results/decoding/{decoding}/hypotheses.tok",
        text=report(
            "results/decoding/{decoding}/hypotheses.txt", caption="../report/hypotheses.rst", category="Translations"
        ),
        seal="results/decoding/{decoding}/seal.json",
    log:
        "results/decoding/{decoding}/translate.log",
    benchmark:
        "results/decoding/{decoding}/translate.benchmark.tsv"
    wildcard_constraints:
        decoding=decoded_by("fairseq"),
    conda:
        ENVIRONMENT
    threads: decoding_threads
    resources:
        gpu=decoding_gpus,
        mem_mb=8000,
    params:
        identity=identity("decoding"),
        flags=what("decoding", generate),
        target=what("decoding", attrgetter("target")),
        tokenizer=what("decoding", attrgetter("text.tokenizers.target")),
        how=how("decoding", pieces.translate),
    shell:
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input} {params.how[models]}"
        " {params.how[plugins]};"
        " export OMP_NUM_THREADS={threads};"
        " {params.how[sharded]} fairseq-generate {input.data} --path {params.how[path]} {params.flags}"
        " {params.how[tuned]}--results-path $folder {params.how[fairseq]};"
        " python -m bleuprint.decoding --generated {output.generated}"
        " --references {input.references}/test.{params.target}"
        " --source {input.references}/test.{params.how[source]} --language {params.target}"
        " --tokenizer {params.tokenizer} --segmenter {params.how[segmenter]} --tokens {output.tokens}"
        " --text {output.text};"
        " python -m bleuprint.record.seal $folder) > {log} 2>&1"


rule convert:
    input:
        data=upstream("decoding", "text", "bin"),
        models=models,
        sealed=seals("decoding", "text"),
    output:
        directory("results/decoding/{decoding}/ctranslate2"),
    log:
        "results/decoding/{decoding}/convert.log",
    benchmark:
        "results/decoding/{decoding}/convert.benchmark.tsv"
    wildcard_constraints:
        decoding=decoded_by("ctranslate2"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
    params:
        identity=identity("decoding"),
        languages=what("decoding", "--source_lang {0.source} --target_lang {0.target}".format),
        quantisation=what("decoding", quantisation),
        how=how("decoding", pieces.convert),
    shell:
        "folder=results/decoding/{wildcards.decoding}; rm -rf {output}.part;"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input} {params.how[model]}"
        " {params.how[plugins]};"
        " export OMP_NUM_THREADS={threads}; ct2-fairseq-converter --model_path {params.how[model]}"
        " --data_dir {input.data} {params.languages} --user_dir {params.how[plugin]} {params.quantisation}"
        " --output_dir {output}.part; mv {output}.part {output}) > {log} 2>&1"


rule translate_converted:
    input:
        model="results/decoding/{decoding}/ctranslate2",
        source=segmented,
        sealed=test_seals("decoding", "text"),
    output:
        tokens="results/decoding/{decoding}/hypotheses.tok",
        text=report(
            "results/decoding/{decoding}/hypotheses.txt", caption="../report/hypotheses.rst", category="Translations"
        ),
        seal="results/decoding/{decoding}/seal.json",
    log:
        "results/decoding/{decoding}/translate.log",
    benchmark:
        "results/decoding/{decoding}/translate.benchmark.tsv"
    wildcard_constraints:
        decoding=decoded_by("ctranslate2"),
    conda:
        ENVIRONMENT
    threads: decoding_threads
    resources:
        gpu=decoding_gpus,
        mem_mb=4000,
    params:
        identity=identity("decoding"),
        flags=what("decoding", ctranslate2_flags),
        target=what("decoding", attrgetter("target")),
        tokenizer=what("decoding", attrgetter("text.tokenizers.target")),
        how=how("decoding", pieces.translate_converted),
    shell:
        "folder=results/decoding/{wildcards.decoding};"
        " (set -x; python -m bleuprint.record.folder {params.identity:q} $folder {input};"
        " {params.how[launcher]} python -m bleuprint.decoding.ctranslate --model {input.model}"
        " --source {input.source}/test.{params.how[source]} {params.flags} {params.how[flags]}"
        " --threads {threads} --language {params.target} --tokenizer {params.tokenizer}"
        " --segmenter {params.how[segmenter]}"
        " --tokens {output.tokens} --text {output.text}; python -m bleuprint.record.seal $folder) > {log} 2>&1"
