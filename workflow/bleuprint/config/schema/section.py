"""The base of every config group's type, and the types that several groups share."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # also of a file, which must not climb
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Section(BaseModel):
    """A config group, or a part of one. The string below a key describes it for config/README.md.

    `how` names keys that say how a thing is computed, not what: they are no part of identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    how: ClassVar[frozenset[str]] = frozenset()

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the stage's output."""
        return self.model_dump(exclude=set(self.how), mode="json")

    def idle(self) -> set[str]:
        """Return keys that have no effect here; they are left out, since the configs of older runs lack them."""
        return set()
