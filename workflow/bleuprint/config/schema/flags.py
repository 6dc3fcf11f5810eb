"""The base of all groups whose keys are flags of fairseq."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, model_validator

from bleuprint.config.known_flags import REGISTERED, Command, complaint, kind, one_name
from bleuprint.config.local_text import content_hash
from bleuprint.config.schema.section import Section
from bleuprint.files import DataError


class Flags(Section):
    """A group whose keys are flags of fairseq, known to the schema or not; `own` names keys that are bleuprint's."""

    model_config = ConfigDict(extra="allow", frozen=True)
    own: ClassVar[frozenset[str]] = frozenset()
    command: ClassVar[Command] = "training"

    @model_validator(mode="before")
    @classmethod
    def goes_by_one_name(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give each flag its one name, where fairseq has several, so that it is checked and hashed under that."""
        section, renamed = cls.__name__.lower(), dict(values)
        for key in [key for key in values if one_name(key) != key]:
            name, value = one_name(key), renamed.pop(key)
            if renamed.get(name, value) not in (value, None):
                plus = "" if name in cls.model_fields else "+"
                raise ValueError(f"{section}.{key}: this is another name of {name}; set {plus}{section}.{name} instead")
            renamed[name] = value
        return renamed

    @model_validator(mode="after")
    def can_be_given(self) -> Self:
        """Check that no flag is one that the pipeline sets itself, or that makes a result wrong or none."""
        values = self.model_dump(exclude=set(self.own))
        self._check({key: value for key, value in values.items() if not self._may_be_a_plugins(key, value)})
        return self

    def check_names(self) -> None:
        """Check, where there are no plugins, that no name of an architecture, criterion or the like is a wrong one.

        Raises:
            ValueError: it is for other tasks than translation.
        """
        self._check({key: value for key, value in self.flags().items() if self._may_be_a_plugins(key, value)})

    def _may_be_a_plugins(self, key: str, value: Any) -> bool:
        return key in REGISTERED and kind(self.command, key, value) == "refused"

    def _check(self, values: dict[str, Any]) -> None:
        for key, value in sorted(values.items()):
            if problem := complaint(self.command, key, value):
                word = key if value is True else f"{key}={value}"
                raise ValueError(f"{type(self).__name__.lower()}.{word}: {problem}")

    def flags(self) -> dict[str, Any]:
        """Return the keys that fairseq's command line gets."""
        return self.model_dump(exclude=set(self.own), exclude_none=True)

    def what_flags(self) -> dict[str, Any]:
        """Return the flags whose values decide the result."""
        return {key: value for key, value in self.flags().items() if key not in self._how()}

    def how_flags(self) -> dict[str, Any]:
        """Return the other flags: those that move no result, and paths, whose files count by their content."""
        return {key: value for key, value in self.flags().items() if key in self._how()}

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the stage's output, files by their SHA-256; one that is null is missing.

        Raises:
            DataError: a file does not exist.
        """
        values = {key: value for key, value in super().identity().items() if value is not None}
        return {key: value for key, value in values.items() if key not in self._how()} | self._contents()

    def _how(self) -> set[str]:
        given = self.model_extra or {}
        return {key for key, value in given.items() if kind(self.command, key, value) in ("how", "content")}

    def _contents(self) -> dict[str, str]:
        given = {key: value for key, value in (self.model_extra or {}).items() if value is not None}
        files = {key: Path(str(value)) for key, value in given.items() if kind(self.command, key, value) == "content"}
        for key, path in files.items():
            if not path.is_file():
                raise DataError(f"{type(self).__name__.lower()}.{key}={path}: no such file; correct the path")
        return {key: content_hash(path) for key, path in files.items()}
