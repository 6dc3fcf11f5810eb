"""How failed jobs ended: their logs read for the common causes, each told in one sentence with a way out."""

import itertools
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bleuprint.files import SCARCE, full, visible
from bleuprint.machine import cuda, memory

TAIL = 1_000_000  # bytes read from the end of a job's log
LONGEST = 300  # characters quoted from it
KILLED = 137  # the exit status of a shell whose command was killed

# What happened and what to do → patterns of what a job's log says then. The first that matches counts: causes stand
# before their consequences. `{quoted}` is what a group of the pattern matched, or all of it.
CAUSES: dict[str, tuple[str, ...]] = {
    "the training diverged: its loss or its gradients are not numbers any more (NaN). Lower training.lr, raise "
    "training.warmup_updates, or limit the gradients with training.clip_norm=1.0; a training with training.fp16=true "
    "may need training.fp16=false.": (
        r"FloatingPointError: gradients are Nan/Inf",
        r"FloatingPointError: Minimum loss scale reached",
    ),
    "out of GPU memory: a batch of the rule {rule} did not fit. {smaller}, or see that nothing else uses the GPU "
    "(nvidia-smi, runtime.jobs_per_gpu=1).": (
        r"OutOfMemoryError: ",
        r"CUDA (?:error: )?out of memory",
        r"CUDA failed with error out of memory",
        r"(?:CUDNN|CUBLAS)_STATUS_ALLOC_FAILED",
    ),
    "out of memory: the kernel gave a command of the rule {rule} no more. {figures}": (
        r"DefaultCPUAllocator: can't allocate memory",
        r"std::bad_alloc",
        r"^(?:[\w.]+\.)?_?(?:Array)?MemoryError\b",
        r"Cannot allocate memory",
    ),
    "the shared memory in /dev/shm is too small for the processes that load batches of the rule {rule}. "
    "+{section}.num_workers=0 does without them, and docker run --shm-size=2g makes it larger.": (
        r"shared memory\(shm\)",
        r"is killed by signal: Bus error",
    ),
    "a process that loads batches of the rule {rule} died. The same command resumes; if it dies again, "
    "+{section}.num_workers=0 does without such processes.": (
        r"DataLoader worker \(pid[^)]*\) (?:exited unexpectedly|is killed by signal: (?!Killed))",
    ),
    "{full}": (r"No space left on device",),
    "this user's quota on the disk of results/ is used up; make room, and the same command resumes.": (
        r"Disk quota exceeded",
    ),
    "a checkpoint could not be written whole, most likely because the disk of results/ or this user's quota on it is "
    "used up; make room, and the same command resumes.": (
        r"PytorchStreamWriter failed writing",
        r"inline_container\.cc.*unexpected pos",
    ),
    "a disk fails ({quoted}): see to it, and the same command resumes.": (
        r"Input/output error.*",
        r"Stale file handle.*",
        r"Read-only file system.*",
    ),
    "a command of the rule {rule} may open no more files; raise the limit (ulimit -n 4096), and the same command "
    "resumes.": (r"Too many open files",),
    "a command of the rule {rule} may start no more threads or processes; lower runtime.threads or raise the limit "
    "(ulimit -u), and the same command resumes.": (
        r"can't start new thread",
        r"[Tt]hread creation failed",
        r"pthread_create failed",
        r"fork: .*Resource temporarily unavailable",
    ),
    "the Python package {quoted} is missing; make env installs what envs/requirements.lock names.": (
        r"^ModuleNotFoundError: No module named '([^']+)'",
    ),
    "the library {quoted} is missing; install it, or name its folder in LD_LIBRARY_PATH.": (
        r"(\S+): cannot open shared object file",
        r"Library (\S+) is not found or cannot be loaded",
    ),
    "a package needs {quoted}, and this system's library is older; use the versions that make env installs, or a newer "
    "system.": (r"version [`']([\w.]+)' not found",),
    "the command {quoted} is not found; activate the environment, or run make env.": (r"(\S+): command not found",),
    f"the GPU cannot be used ({{quoted}}): {cuda.WAY_OUT}": (
        r"[^:]*driver on your system is too old[^.]*",
        r"CUDA driver version is insufficient[^.]*",
        r"no kernel image is available[^.]*",
        r"No CUDA GPUs are available",
        r"Found no NVIDIA driver[^.]*",
        r"Torch not compiled with CUDA enabled",
    ),
    "the GPU failed ({quoted}). The same command resumes; if it fails again, look for Xid in the system's log (dmesg), "
    'or compute on the CPU with overrides="runtime.device=cpu".': (
        r"CUDA error: (.*)",
        r"CUDA failed with error (.*)",
        r"(?:CUDNN|CUBLAS)_STATUS_\w+",
    ),
}
# Exit status of a job's shell → the same, where its log says nothing
STATUSES = {
    132: "a command of the rule {rule} has instructions that this processor lacks (SIGILL); run make env on it.",
    134: "a command of the rule {rule} gave up (SIGABRT); its log says more.",
    135: "a command of the rule {rule} could not use its memory (SIGBUS); make room on the disk and in /dev/shm.",
    139: "a command of the rule {rule} crashed (SIGSEGV); the same command resumes. If it crashes again, run make env.",
    143: "something ended a command of the rule {rule} (SIGTERM), such as a time limit; the same command resumes.",
}

ERROR = re.compile(r"^Error in rule (\w+):")
STATUS = re.compile(r"returned non-zero exit status (\d+)\.|died with <Signals\.SIG\w+: (\d+)>")
LOG = re.compile(r"^    log: (.+?)(?: \(check log|,|$)")
# Lines that say nothing new of an end: source lines of tracebacks, traced commands, what fairseq tells on its way, and
# messages to the user
ASIDE = re.compile(r"\s|\++ |.*\| (?:INFO|WARNING|DEBUG) \| |bleuprint: (?!ctranslate2 failed: )")
EXCEPTION = re.compile(r"[\w.]+(?:Error|Exception|Exit|Interrupt|Iteration)\b")
# Of several processes that train together, what one says when another has failed
FOLLOWING = re.compile(r"SystemExit: |\S+: (?:\[.*gloo/|NCCL )")
DECODING = ("tune", "translate", "translate_converted", "convert")  # rules


@dataclass(frozen=True)
class Job:
    """A job that failed, as Snakemake tells it: its rule, its log (empty if it has none), its shell's exit status."""

    rule: str
    log: str
    status: int | None


def failed(lines: Iterable[str]) -> Iterator[Job]:
    """Yield the jobs that failed, from the lines of Snakemake's log."""
    status, rule = None, None
    for line in lines:
        if match := STATUS.search(line):
            status = int(match[1]) if match[1] else 128 + int(match[2])
        elif match := ERROR.match(line):
            if rule is not None:
                yield Job(rule, "", status)
            rule = match[1]
        elif rule is not None and (match := LOG.match(line) or re.match(r"(    shell:|\S)", line)):
            yield Job(rule, match[1] if match.re is LOG else "", status)
            rule = status = None
    if rule is not None:
        yield Job(rule, "", status)


def tail(log: str) -> list[str]:
    """Return the last lines of a job's log; none if it cannot be read."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, Path(log).stat().st_size - TAIL))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def cause(job: Job, lines: list[str], samples: memory.Usage) -> str | None:
    """Return why a job failed, by its log's lines, and what to do; None if its own message tells that.

    Args:
        job: which failed.
        lines: of its log.
        samples: of the memory of the call.
    """
    telling = [line for line in lines if not ASIDE.match(line)]
    text = "\n".join(telling)
    if job.status == KILLED or "is killed by signal: Killed" in text:
        return memory.sentence(job.rule, samples)
    for sentence, patterns in CAUSES.items():
        for pattern in patterns:
            if match := re.search(pattern, text, re.MULTILINE):
                return _filled(sentence, job, match, samples)
    last_command = max((number for number, line in enumerate(lines) if line.startswith("+ ")), default=0)
    if any(line.startswith("bleuprint: ") and " WARNING: " not in line for line in lines[last_command:]):
        return None
    if job.status in STATUSES:
        return STATUSES[job.status].format(rule=job.rule)
    exceptions = [line for line in telling if EXCEPTION.match(line)] or telling
    exceptions = [line for line in exceptions if not FOLLOWING.match(line)] or exceptions
    words = f": {exceptions[-1][:LONGEST].strip()}" if exceptions else ""
    status = f" with status {job.status}" if job.status else ""
    return f"a command of the rule {job.rule} failed{status}{words}"


def _filled(sentence: str, job: Job, match: re.Match[str], samples: memory.Usage) -> str:
    smaller = memory.smaller(job.rule)
    return sentence.format(
        quoted=next(filter(None, (*match.groups(), match[0])))[:LONGEST].strip(),
        rule=job.rule,
        section="decoding" if job.rule in DECODING else "training",
        smaller=f"{smaller[0].upper()}{smaller[1:]}",
        figures=memory.figures(job.rule, samples),
        full=full(_place(match.string)),
    )


def _place(text: str) -> Path:
    """Return the folder of which a log says that there is no space left; results/ if it names none."""
    match = re.search(r"No space left on device: '(/[^']+)'|(/[^\s:'\"]+)'?: No space left on device", text)
    folder = Path(match[1] or match[2]).parent if match else Path()
    return folder if match and folder.is_dir() else Path("results").resolve()


def last_words(logs: list[str], folder: Path, samples: memory.Usage, ended: bool = False) -> list[str]:
    """Return the commands' own messages to the user, then why each job failed; each once, the latter with its logs.

    Args:
        logs: Snakemake's logs, which hold those of failed jobs.
        folder: results/.
        samples: of the memory of the call.
        ended: whether somebody has ended the call, which is then why its jobs failed.
    """
    lines = [line for log in logs for line in Path(log).read_text(encoding="utf-8", errors="replace").split("\n")]
    causes: dict[str, dict[str, None]] = {}  # to their logs; both are sets that keep their order
    messages, told = dict.fromkeys(_messages(lines)), set()
    for job in dict.fromkeys(failed(lines)):
        own = tail(job.log)
        told.update(own)
        messages |= dict.fromkeys(_messages(own))
        if not ended and (sentence := cause(job, own, samples)) is not None:
            causes.setdefault(sentence, {}).update({job.log: None} if job.log else {})
    no_space = any("No space left on device" in line for line in lines if line not in told)  # Snakemake's own words
    if no_space or shutil.disk_usage(folder).free < SCARCE:
        causes.setdefault(full(folder), {})
    return [*messages, *(f"bleuprint: {visible(sentence)}{_named(list(logs))}" for sentence, logs in causes.items())]


def _messages(lines: list[str]) -> Iterator[str]:
    """Yield bleuprint's messages to the user among the lines of a log, each with the lines that continue it."""
    for number, line in enumerate(lines):
        if line.startswith("bleuprint: "):
            more = itertools.takewhile(lambda line: line.startswith("  "), lines[number + 1 :])
            yield "\n".join([line, *more])


def _named(logs: list[str]) -> str:
    return f" [{', '.join(logs)}]" if logs else ""
