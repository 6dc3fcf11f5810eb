# Providers: functions that rules name in `input` and `params`. Most take a stage's word and return a function of the
# job's wildcards, which Snakemake calls.
#
# Snakemake reruns a finished job whose params differ from the last call's. That is right for what decides a result, and
# wrong for how the result is computed: device, threads, mirrors, logs. It does not compare params that are functions of
# `threads`, which it takes to follow from the number of threads. So what only changes the `how` is given to Snakemake
# as a function of `threads`, needed or not; what decides a result never is.

from operator import attrgetter
from pathlib import Path

from bleuprint.commands.cluster import submitted
from bleuprint.config.segmenters import segmenter
from bleuprint.decoding import engine
from bleuprint.files import canonical
from bleuprint.machine import device
from bleuprint.machine.device import model_threads, uses_gpu
from bleuprint.machine.shards import shards
from bleuprint.plan import costs
from bleuprint.plan import how as pieces

THREADS = PLAN.runtime.threads or CORES
# Snakemake formats the path, so that braces in the checkout's are doubled
ENVIRONMENT = f"{Path(PACKAGE).parent}/envs/bleuprint.yaml".replace("{", "{{").replace("}", "}}")
SUBMITTED = submitted(workflow)  # a scheduler starts the jobs, on other machines
MODEL_THREADS = model_threads(PLAN.runtime, CORES, SUBMITTED)  # of a training or decoding
# Of a training: each resumes the one before, which ran out of time. Not in the job itself, which has to end
RETRIES = 5 if SUBMITTED and workflow.is_main_process else 0
GPU = int(uses_gpu(PLAN.runtime))  # how many it takes


def results(stage, *files):
    """Return the paths of `files` in all folders of a stage."""
    return [f"results/{stage}/{key}/{file}" for key in PLAN.stages[stage] for file in files]


def upstream(stage, wanted, file):
    """Provide the path of `file` in the stage `wanted` that the stage builds on."""
    return lambda wildcards: PLAN.upstream(stage, wildcards[stage], wanted, file)


def seals(stage, *wanted):
    """Provide the seals of the stages `wanted` that the stage builds on: without them they are not finished."""
    return lambda wildcards: [PLAN.upstream(stage, wildcards[stage], name, "seal.json") for name in wanted]


def identity(stage):
    """Provide the canonical JSON of all that decides the stage's result."""
    return lambda wildcards: PLAN.stage(stage, wildcards[stage]).identity


def what(stage, function):
    """Provide `function(experiment)`, which decides the result: another value reruns the job."""
    return lambda wildcards: function(PLAN.stage(stage, wildcards[stage]).experiment)


def how(stage, function):
    """Provide `function(plan, key)`, pieces of the command that decide no result: other values rerun nothing."""
    return lambda wildcards, threads: function(PLAN, wildcards[stage])


def chunks(wildcards, threads):
    """Return the workers of fairseq-preprocess: twice the threads, as it does one chunk alone after the others."""
    return 2 * threads


def pattern(stage, chosen):
    """Return a pattern of the stage's folders whose experiments are `chosen`.

    Snakemake reads it for each file of each job, so that it is short where all or none are chosen.
    """
    keys = [key for key, one in PLAN.stages[stage].items() if chosen(one.experiment)]
    return "[^/]+" if keys and len(keys) == len(PLAN.stages[stage]) else "|".join(keys) or "none"


def memory(mb):
    """Provide so many megabytes for each thread."""
    return lambda wildcards, threads: mb * threads


# The text stage


def given_vocabulary(wildcards):
    """Return the seal of the text whose segmenter and dictionaries this text takes; nothing where it makes its own."""
    keys = PLAN.stage("text", wildcards.text).others.get("segmenter", ())
    return [f"results/text/{key}/seal.json" for key in keys]


def made_pairs(wildcards):
    """Return the seals of the text that a model has translated for this one, and of its translation."""
    decodings = PLAN.stage("text", wildcards.text).others.get("translator", ())
    testsets = [f"results/testset/{PLAN.tested('decoding', key)}/seal.json" for key in decodings]
    return [f"results/decoding/{key}/seal.json" for key in decodings] + testsets


def segments(wildcards):
    """Return the folder of the segmented text."""
    return f"results/text/{wildcards.text}/{segmenter(PLAN.stage('text', wildcards.text).experiment).folder}"


def segmented_often(often):
    """Return a pattern of the texts with several segmentations of train, or of the others."""
    return pattern("text", lambda experiment: (experiment.text.segmentations > 1) == often)


def genuine(wildcards):
    """Return the seal of the corpus whose text is translated for another's training; nothing for a test set."""
    keys = PLAN.stage("testset", wildcards.testset).others.get("genuine", ())
    return [f"results/corpus/{key}/seal.json" for key in keys]


def test_segmenter(wildcards):
    """Return the segmenter that the text stage learnt, for a further test set."""
    model = segmenter(PLAN.stage("testset", wildcards.testset).experiment).model
    return PLAN.upstream("testset", wildcards.testset, "text", model)


# The training stage

LOCK_PATIENCE = 10  # seconds that a training waits for another one to leave its folder


def start(wildcards):
    """Return the seal of the model that the training starts from; nothing where it starts from random weights."""
    keys = PLAN.stage("training", wildcards.training).others.get("start", ())
    return [f"results/training/{key}/seal.json" for key in keys]


NODES = PLAN.runtime.nodes or 1  # that each training is spread over


def processes(wildcards):
    """Return the processes that train a model together, on all machines."""
    return PLAN.stage("training", wildcards.training).experiment.training.gpus


def training_gpus(wildcards):
    """Return the GPUs that a training asks for; those on several machines it asks for by the machine."""
    return GPU * processes(wildcards) if NODES == 1 else 0


def gpus_by_machine(wildcards):
    """Return the GPUs of a training on each of several machines, as SLURM has it."""
    return f"gpu:{processes(wildcards) // NODES}"


# What a training on several machines asks SLURM for. `mpi` lets the job's own shell, on the first machine, start the
# commands on all of them
MACHINES = {"nodes": NODES, "tasks": NODES, "tasks_per_gpu": 0, "mpi": "srun"} if NODES > 1 else {}
MACHINES |= {"gres": gpus_by_machine} if GPU and NODES > 1 else {}


def training_threads(wildcards):
    """Return the CPU threads of a training on one machine."""
    return device.training_threads(PLAN.runtime, CORES, processes(wildcards), SUBMITTED)


def threads_each(wildcards, threads):
    """Return the CPU threads of each process of a training."""
    return max(1, threads * NODES // processes(wildcards))


def training_mb(wildcards, attempt):
    """Return the megabytes that a training asks for: more, if a try with fewer has failed."""
    return attempt * costs.memory_mb(PLAN.stage("training", wildcards.training).experiment)


def training_minutes(wildcards):
    """Return the minutes that a training asks for on a cluster."""
    key = wildcards.training
    return costs.minutes(PLAN.stage("training", key).experiment, MODEL_THREADS, PLAN.continued(key))


# The decoding stage


def tested(stage, file):
    """Provide the path of `file` of the test set that is translated or scored: the corpus' own, or a further one."""
    own = "corpus" if file == "raw" else "text"
    return lambda wildcards: PLAN.test_file(stage, wildcards[stage], own, file)


def decoding_gpus(wildcards):
    """Return the GPUs that a decoding asks for, one for each of its processes."""
    return GPU * shards(PLAN.stage("decoding", wildcards.decoding).experiment, PLAN.runtime)


def decoding_threads(wildcards):
    """Return the CPU threads of a decoding: on several GPUs the share of each, so that no more jobs start."""
    return MODEL_THREADS * max(1, decoding_gpus(wildcards))


def segmented(wildcards):
    """Return the folder of the segmented text that is translated."""
    folder = segmenter(PLAN.stage("decoding", wildcards.decoding).experiment).folder
    return PLAN.test_file("decoding", wildcards.decoding, "text", folder)


def test_seals(stage, *wanted):
    """Provide the seals of the stages `wanted`; of a further test set its own instead of the corpus'."""
    return lambda wildcards: PLAN.test_seals(stage, wildcards[stage], wanted)


def decoded_by(name):
    """Return a pattern of the folders that an engine decodes, so that each rule makes only those of its engine."""
    return pattern("decoding", lambda experiment: engine.engine(experiment) == name)


def grid(experiment):
    """Return the canonical JSON of the beams and length penalties to try."""
    return canonical(experiment.decoding.grid())


def models(wildcards):
    """Return the seals of the models that decode together."""
    return [f"{folder}/seal.json" for folder in PLAN.models(wildcards.decoding)]


def tuned(wildcards):
    """Return what tuning leaves; nothing where nothing is tuned."""
    return PLAN.tuned(wildcards.decoding, "tuned.json", "tuned.flags")


# The scoring stage


def by_model(usual, otherwise):
    """Provide `usual` where a model computes a metric, else `otherwise`."""
    return lambda wildcards: (
        usual if PLAN.stage("scoring", wildcards.scoring).experiment.scoring.models else otherwise
    )


# The report stage


def run_files(wildcards):
    """Return what a run is gathered from, but for its corpus, which may have been deleted."""
    run = PLAN.run(wildcards.run)
    seals = [f"results/{stage}/{key}/seal.json" for stage, key in run.needs if stage != "corpus"]
    return [*seals, *PLAN.tuned(run.keys["decoding"], "tuned.json")]


def description(wildcards):
    """Return the canonical JSON of what the report says of a run."""
    return PLAN.run(wildcards.run).description


def reported(wildcards, threads):
    """Return the words that tell the report's program its runs."""
    return pieces.reported(PLAN)


def asked(wildcards, threads):
    """Return the canonical JSON of the words that ask for a run."""
    return PLAN.run(wildcards.run).asked
