"""What every config group's type is made of, and the types that several share."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$")]  # also of a file, which must not climb
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Section(BaseModel):
    """A config group. `how` names keys that say how a thing is computed, not what: no part of identity."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    how: ClassVar[frozenset[str]] = frozenset()

    def identity(self) -> dict[str, Any]:
        """The keys that can change the stage's output."""
        return self.model_dump(exclude=set(self.how), mode="json")

    def idle(self) -> set[str]:
        """Keys that change nothing here and that older runs' configs lack: left out, so that those stay finished."""
        return set()
