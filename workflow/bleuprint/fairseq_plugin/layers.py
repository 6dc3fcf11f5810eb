"""Note which code computes the model's layers, so that the run's record can tell."""

import logging
from contextlib import suppress
from pathlib import Path

from bleuprint.training.save_dir import add_implementations

LOGGER = logging.getLogger(__name__)


class Notes:
    """What ran in this process, in the order in which it first ran."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.save_dir: Path | None = None  # of the training that this process is

    def begin(self, save_dir: Path) -> None:
        """Write all notes to the --save-dir from now on."""
        self.save_dir = save_dir
        self._write()

    def add(self, sentence: str) -> None:
        """Note an implementation, once."""
        if sentence not in self.sentences:
            LOGGER.info(sentence)
            self.sentences.append(sentence)
            self._write()

    def _write(self) -> None:
        if self.save_dir is not None and self.sentences:
            with suppress(OSError):  # on a full disk the training ends with its next checkpoint, in one sentence
                add_implementations(self.save_dir, self.sentences)


NOTES = Notes()  # one for each process: the layers have no other place in common
