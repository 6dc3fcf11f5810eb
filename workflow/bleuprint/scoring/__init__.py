"""The scoring stage: hypotheses are compared with their references."""

from pathlib import Path

from bleuprint.letters import normalise


def reference_files(first: Path) -> list[Path]:
    """Return the files of all references of a test set: `first`, and with more of them FIRST.1, FIRST.2 and so on."""
    further = (path for path in first.parent.glob(f"{first.name}.*") if path.suffix[1:].isdecimal())
    return [first, *sorted(further, key=lambda path: int(path.suffix[1:]))]


def in_form(lines: list[str], form: str | None) -> list[str]:
    """Return lines in a Unicode form, as the text stage brings text into it; as they are without a form."""
    return [normalise(line, form) for line in lines]
