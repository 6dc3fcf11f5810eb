"""bleuprint translate: a run's model on text of your own, line by line from a file, a pipe or a prompt."""

import contextlib
import io
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.flags import argv
from bleuprint.decoding.convert import PLUGIN, POSITIONS, converted, flags, obstacle, own_type, search
from bleuprint.decoding.hypotheses import without_bpe
from bleuprint.files import DataError
from bleuprint.record.provenance import base, find, read

LIMIT = POSITIONS - 1  # subwords of a sentence, its end aside
LONGEST = 100_000  # bytes of a line; what is longer has more subwords, too
WAITING = 1 << 16  # bytes that are translated together, if so many are waiting
BATCH_TOKENS = 1024

Engine = Callable[[list[list[str]]], Iterator[str]]  # sentences of subwords → translations without BPE


@dataclass(frozen=True)
class Trained:
    """A run's config, the folders of its stages, and the checkpoints of its model or, in an ensemble, models."""

    config: dict[str, Any]
    folders: dict[str, Path]
    checkpoints: list[Path]

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target."""
        return self.config["source"], self.config["target"]


def trained(word: str) -> Trained:
    """The run that `word` names, as `provenance.find` takes it.

    Raises:
        DataError: it names none or several, or the run has no record.
    """
    folder = find(word)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    known = read(folder)
    stages = {stage: base(folder) / one["folder"] for stage, one in known["stages"].items()}
    trainings = [stages["training"], *(base(folder) / one["folder"] for one in known.get("ensemble", []))]
    return Trained(config, stages, [training / "checkpoint.pt" for training in trainings])


class Text:
    """A run's text steps, for single sentences."""

    def __init__(self, run: Trained) -> None:
        from subword_nmt.apply_bpe import BPE  # slow to load

        self.settings, self.languages = run.config["text"], run.languages
        with open(run.folders["text"] / "codes", encoding="utf-8") as codes:
            self.bpe = BPE(codes)
        self.widest = max((len("".join(pair)) for pair in self.bpe.bpe_codes), default=1)

    def subwords(self, line: bytes) -> list[str]:
        """What the model reads of a raw line; nothing of one without words.

        Raises:
            DataError: it cannot be translated; the message says why.
        """
        from bleuprint.text.tokenise import RESERVED, tokens_of

        if len(line) > LONGEST:
            raise DataError(f"is longer than {LONGEST:,} bytes")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"is not UTF-8 (byte 0x{line[error.start]:02x})") from None
        (tokens,) = tokens_of([text], self.languages[0], self.settings["tokenizer"], self.settings["lowercase"])
        # First, as RESERVED and BPE take minutes over a word of a hundred thousand letters
        if sum(math.ceil(len(token) / self.widest) for token in tokens.split()) <= LIMIT:
            if found := RESERVED.search(tokens):
                raise DataError(f"has the token {found[0][:100]!r}, which ends in BPE's mark or a symbol of fairseq")
            subwords: list[str] = self.bpe.process_line(tokens).split()
            if len(subwords) <= LIMIT:
                return subwords
        raise DataError(f"has more than the {LIMIT:,} subwords that the model can read")

    def running(self, tokens: str) -> str:
        """Running text of a translation."""
        from bleuprint.text.moses import detokenize

        return detokenize(tokens, self.languages[1]) if self.settings["tokenizer"] == "moses" else tokens


def ctranslate2_engine(run: Trained, compute_type: str, beam: int | None, one_by_one: bool) -> Engine:
    """A run's model on ctranslate2.

    Args:
        run: the run.
        compute_type: `float32` or `int8`.
        beam: None: the run's own.
        one_by_one: whether all cores work at one sentence, for a quick answer, rather than each at its own.
    """
    import ctranslate2

    cores = len(os.sched_getaffinity(0))
    threads = (
        {"inter_threads": 1, "intra_threads": cores} if one_by_one else {"inter_threads": cores, "intra_threads": 1}
    )
    options = flags(run.config) | ({"beam": beam} if beam else {})
    folder = converted(run.config, run.folders, compute_type)
    model = ctranslate2.Translator(str(folder), compute_type=compute_type, **threads)

    def engine(sentences: list[list[str]]) -> Iterator[str]:
        if not sentences:
            return
        how = search(options, max(map(len, sentences)))
        results = model.translate_batch(
            sentences, max_batch_size=BATCH_TOKENS, batch_type="tokens", asynchronous=True, **how
        )
        for result in results:
            yield without_bpe(result.result().hypotheses[0])

    return engine


def fairseq_engine(run: Trained, beam: int | None) -> Engine:
    """A run's model on fairseq-interactive, sentence by sentence."""
    options = flags(run.config) | ({"beam": beam} if beam else {})
    source, target = run.languages
    options |= {"source_lang": source, "target_lang": target, "buffer_size": 1, "cpu": True, "user_dir": PLUGIN}
    command = [sys.executable, "-m", "fairseq_cli.interactive", str(run.folders["text"] / "bin")]
    command += ["--path", ":".join(map(str, run.checkpoints)), *argv(options)]
    env = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, encoding="utf-8", env=env)
    numbers = count()

    def engine(sentences: list[list[str]]) -> Iterator[str]:
        for sentence, number in zip(sentences, numbers, strict=False):
            yield answer(" ".join(sentence), f"H-{number}\t")

    def answer(sentence: str, mark: str) -> str:
        assert process.stdin is not None and process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):  # it has ended; why is said below
            print(sentence, file=process.stdin, flush=True)
        for line in process.stdout:
            if line.startswith(mark):  # of an n-best list the first is the best, and all else is passed over
                return line.rstrip("\n").split("\t", 2)[2]
        raise DataError(f"fairseq-interactive ended with status {process.wait()}: {line.strip()}")

    return engine


def translate(word: str, file: Path | None, compute_type: str | None, beam: int | None) -> int:
    """Write one line for each line of `file`, or of standard input; a prompt where that is a terminal.

    Args:
        word: the run, as `provenance.find` takes it.
        file: UTF-8 text in the source language; None: standard input.
        compute_type: `float32` or `int8`; None: the run's own.
        beam: None: the run's own.

    Returns:
        The exit status: 1 if a line could not be translated, and so stayed empty.

    Raises:
        DataError: there is no such run, or its model cannot translate so.
    """
    run = trained(word)
    prompt = file is None and sys.stdin.isatty() and sys.stdout.isatty()
    if not prompt and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    text, engine = Text(run), chosen(run, compute_type, beam, prompt)
    number = failed = 0
    for lines in prompted(f"{run.languages[0]}> ") if prompt else waiting(file):
        sentences = []
        for line in lines:
            number += 1
            try:
                sentences.append(text.subwords(line))
            except DataError as error:
                print(f"bleuprint: line {number} {error}; its translation stays empty.", file=sys.stderr, flush=True)
                sentences.append([])
                failed = 1
        translations = engine([sentence for sentence in sentences if sentence])
        for sentence in sentences:
            print(text.running(next(translations)) if sentence else "", flush=True)
    return failed


def chosen(run: Trained, compute_type: str | None, beam: int | None, prompt: bool) -> Engine:
    """ctranslate2 where it can run the model as the run's decoding does, else fairseq.

    Raises:
        DataError: only ctranslate2 could do what is asked.
    """
    reason = obstacle(run.config)
    if reason is None:
        return ctranslate2_engine(run, compute_type or own_type(run.config), beam, one_by_one=prompt)
    if compute_type == "int8":
        raise DataError(f"{reason}; without --compute-type int8 fairseq itself translates, in float32.")
    print(f"bleuprint: {reason}; fairseq itself translates, which is slower …", file=sys.stderr, flush=True)
    return fairseq_engine(run, beam)


def waiting(file: Path | None) -> Iterator[list[bytes]]:
    """The lines of a file or of standard input, without their line feeds: as many at a time as are there.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(file or sys.stdin.fileno(), "rb") as source:
            rest = b""
            while data := source.read1(WAITING):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[: LONGEST + 1]  # more of it will not be translated
                if lines:
                    yield lines
            if rest:
                yield [rest]
    except OSError as error:
        raise DataError(f"{file or 'standard input'} cannot be read: {error.strerror}.") from None


def prompted(prompt: str) -> Iterator[list[bytes]]:
    """The lines typed at a prompt."""
    import readline

    readline.set_auto_history(True)  # lines can be edited, and be longer than a terminal's 4,096 bytes
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    while True:
        try:
            yield [input(prompt).encode("utf-8", "surrogateescape")]
        except (EOFError, KeyboardInterrupt):
            print()
            return
