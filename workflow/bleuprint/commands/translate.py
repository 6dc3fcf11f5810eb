"""bleuprint translate: translate your own text with a run's model, line by line from a file, a pipe or a prompt."""

import contextlib
import io
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bleuprint.commands.trained import Trained, trained
from bleuprint.config.flags import argv
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding.convert import POSITIONS, common, flags, obstacle, own_type, search, user_dir
from bleuprint.decoding.converted import converted
from bleuprint.files import DataError, visible
from bleuprint.machine.memory import ended
from bleuprint.text.segmenters import module, named, spells_bytes
from bleuprint.text.tokenise import RESERVED, tokens_of
from bleuprint.text.tokenisers import TOKENISERS, sides

LIMIT = POSITIONS - 1  # subwords of a sentence, without its end-of-sentence token
LONGEST = 100_000  # bytes of a line; a longer line has more subwords than LIMIT
WAITING = 1 << 16  # bytes that are read, and translated, at once at most
BATCH_TOKENS = 1024

Engine = Callable[[list[list[str]]], Iterator[str]]  # sentences of subwords → translations of whole words


class Text:
    """The steps of a run's text stage, for single sentences."""

    def __init__(self, run: Trained) -> None:
        self.settings, self.languages = run.config["text"], run.languages
        name = named(run.config)
        self.segmenter = module(name).Segmenter(run.folders["text"] / SEGMENTERS[name].model)
        self.reserved = RESERVED if name == "subword_nmt" else None

    def subwords(self, line: bytes) -> list[str]:
        """Return the subwords of a raw line, as the model reads them; an empty list for a line without words.

        Raises:
            DataError: the line cannot be translated; the message follows its number.
        """
        if len(line) > LONGEST:
            raise DataError(f"is longer than {LONGEST:,} bytes")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"is not UTF-8 (byte 0x{line[error.start]:02x})") from None
        (tokens,) = tokens_of([text], self.languages[0], 0, self.settings)
        # Check the length first: RESERVED and BPE take minutes for a word of a hundred thousand letters
        if sum(math.ceil(len(token) / self.segmenter.longest) for token in tokens.split()) <= LIMIT:
            if self.reserved and (match := self.reserved.search(tokens)):
                raise DataError(f"has the token {match[0][:100]!r}, which ends in BPE's mark or a symbol of fairseq")
            subwords: list[str] = self.segmenter.segment(tokens)
            if len(subwords) <= LIMIT:
                return subwords
        raise DataError(f"has more than the {LIMIT:,} subwords that the model can read")

    def running(self, tokens: str) -> str:
        """Return a translation as running text."""
        return TOKENISERS[sides(self.settings["tokenizer"])[1]].detokenise(tokens, self.languages[1])


def ctranslate2_engine(run: Trained, compute_type: str, beam: int | None, one_by_one: bool) -> Engine:
    """Return an engine that runs the model with ctranslate2.

    Args:
        run: the run.
        compute_type: `float32` or `int8`.
        beam: beam size; None: the run's own.
        one_by_one: all cores work on one sentence, for a quick answer, instead of each on a sentence of its own.
    """
    import ctranslate2

    cores = len(os.sched_getaffinity(0))
    threads = (
        {"inter_threads": 1, "intra_threads": cores} if one_by_one else {"inter_threads": cores, "intra_threads": 1}
    )
    options = flags(run.config) | ({"beam": beam} if beam else {})
    folder = converted(run.config, run.folders, compute_type)
    try:  # by a path from here: ctranslate2 takes none that is not UTF-8
        model = ctranslate2.Translator(os.path.relpath(folder), compute_type=compute_type, **threads)
    except RuntimeError as error:  # for instance too little memory
        raise DataError(
            f"ctranslate2 cannot load {folder}: {error}; free some memory, or delete that folder."
        ) from None

    join = module(named(run.config)).join

    def engine(sentences: list[list[str]]) -> Iterator[str]:
        if not sentences:
            return
        limits = search(options, max(map(len, sentences)))
        results = model.translate_batch(
            sentences, max_batch_size=BATCH_TOKENS, batch_type="tokens", asynchronous=True, **limits
        )
        for result in results:
            yield join(result.result().hypotheses[0])

    return engine


def fairseq_engine(run: Trained, beam: int | None) -> Engine:
    """Return an engine that runs the model with fairseq-interactive, sentence by sentence."""
    options = flags(run.config) | {"remove_bpe": SEGMENTERS[named(run.config)].remove_bpe}
    options |= {"beam": beam} if beam else {}
    source, target = run.languages
    options |= {"source_lang": source, "target_lang": target, "buffer_size": 1, "cpu": True}
    options["user_dir"] = user_dir(run.config, run.folders["training"])
    place = common(run.folders)
    data, *checkpoints = (os.path.relpath(path, place) for path in (run.folders["text"] / "bin", *run.checkpoints))
    command = [sys.executable, "-m", "fairseq_cli.interactive", data, "--path", ":".join(checkpoints), *argv(options)]
    env = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, encoding="utf-8", env=env, cwd=place
    )
    numbers, restore, byte_fallback = count(), module(named(run.config)).restore, spells_bytes(run.config)

    def engine(sentences: list[list[str]]) -> Iterator[str]:
        for sentence, number in zip(sentences, numbers, strict=False):
            yield restore(answer(" ".join(sentence), f"H-{number}\t"), byte_fallback)

    def answer(sentence: str, mark: str) -> str:
        assert process.stdin is not None and process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):  # the process has ended; the error below tells why
            print(sentence, file=process.stdin, flush=True)
        for line in process.stdout:
            if line.startswith(mark):  # the first of an n-best list is the best
                return line.rstrip("\n").split("\t", 2)[2]
        raise DataError(f"fairseq-interactive {ended(process.wait())}: {line.strip()}")

    return engine


def translate(word: str, file: Path | None, compute_type: str | None, beam: int | None) -> int:
    """Print the translation of each line of `file` or standard input; show a prompt if that is a terminal.

    Args:
        word: the run, as `provenance.find` takes it.
        file: UTF-8 text in the source language; None: standard input.
        compute_type: `float32` or `int8`; None: the run's own.
        beam: beam size; None: the run's own.

    Returns:
        The exit status: 1 if a line could not be translated, so that its translation is empty.

    Raises:
        DataError: there is no such run, or its model cannot translate with this compute type.
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
    """Return ctranslate2's engine if it can translate as the run's decoding did, else fairseq's.

    Raises:
        DataError: int8 is asked for, and ctranslate2 cannot run the model.
    """
    reason = obstacle(run.config)
    if reason is None:
        return ctranslate2_engine(run, compute_type or own_type(run.config), beam, one_by_one=prompt)
    if compute_type == "int8":
        raise DataError(f"{reason}; without --compute-type int8 fairseq translates, in float32.")
    print(f"bleuprint: {visible(reason)}; fairseq translates instead, which is slower …", file=sys.stderr, flush=True)
    return fairseq_engine(run, beam)


def waiting(file: Path | None) -> Iterator[list[bytes]]:
    """Yield the lines of a file or of standard input, without line feeds, as many at a time as can be read at once.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(file or sys.stdin.fileno(), "rb") as source:
            rest = b""
            while data := source.read1(WAITING):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[: LONGEST + 1]  # a longer line is refused anyway
                if lines:
                    yield lines
            if rest:
                yield [rest]
    except OSError as error:
        raise DataError(f"{file or 'standard input'} cannot be read: {error.strerror}.") from None
    except ValueError:  # a NUL in its name, or a closed standard input
        raise DataError(f"{file or 'standard input'} cannot be read; name a file.") from None


def prompted(prompt: str) -> Iterator[list[bytes]]:
    """Yield the lines typed at a prompt."""
    import readline

    readline.set_auto_history(True)  # readline lets lines be edited, and be longer than a terminal's 4,096 bytes
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    while True:
        try:
            yield [input(prompt).encode("utf-8", "surrogateescape")]
        except (EOFError, KeyboardInterrupt):
            print()
            return
