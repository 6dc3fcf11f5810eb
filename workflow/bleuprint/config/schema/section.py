"""The base of every config group's type, and the types that several groups share."""

import re
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # also of a file, which must not climb
CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")


def _code(value: str) -> str:
    """Return a code with underscores: fairseq reads a hyphen in a file's name as what separates two languages."""
    if not CODE.fullmatch(value):
        raise PydanticCustomError("code", "no language code; a code is for instance de, fra, pt-BR or zho_Hans")
    return value.replace("-", "_")


Language = Annotated[str, AfterValidator(_code)]  # a part of file names


class Section(BaseModel):
    """A config group, or a part of one. The string below a key describes it for config/README.md.

    `how` names keys that say how a thing is computed, not what: they are no part of identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    how: ClassVar[frozenset[str]] = frozenset()

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the stage's output, without optional ones that have their default.

        So a new optional key renames no folder. A key without a default in the schema always counts.
        """
        values = self.model_dump(exclude=set(self.how), mode="json")
        return {key: value for key, value in values.items() if not self.has_default(key)}

    def has_default(self, key: str) -> bool:
        """Return whether a key is optional and has its default."""
        defaults = _defaults(type(self))
        return key in defaults and bool(getattr(self, key) == defaults[key])

    def idle(self) -> set[str]:
        """Return keys that have no effect here; they are left out, since the configs of older runs lack them."""
        return set()


@cache
def _defaults(section: type[Section]) -> dict[str, Any]:
    """Return the optional keys of a section with their defaults."""
    fields = section.model_fields.items()
    return {key: field.get_default(call_default_factory=True) for key, field in fields if not field.is_required()}
