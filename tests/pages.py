"""The pages of the documentation, and the commands in them: what tests/test_docs.py runs.

Commands stand in fences of the language bash. Comments directly before a fence say how it is tested:
    <!-- first: COMMAND -->        a command that is not shown, run before the fence; it may fill several lines
    <!-- dry run: REASON -->       only planned, so that its keys are checked; see REASONS
    <!-- not run: REASON -->       not tested at all
    <!-- fails -->                 ends with an error; the fence of the language text after it is its message
    <!-- long -->                  takes long: executed in `make nightly`; `make test` plans it, without asking fairseq
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from conftest import ROOT

REASONS = ("GPU", "network", "hours", "set-up", "another machine", "interactive")
COMMENT = re.compile(r"<!--\s*(?P<mark>first|dry run|not run|fails|long)(?::\s*(?P<rest>.*?))?\s*-->", re.DOTALL)
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
HERE = re.compile(r"<<['\"]?(\w+)['\"]?(.*)\n(?:.*\n)*?\1$", re.MULTILINE)  # text that a command reads
HEADING = re.compile(r"^#+ +(.+?)(?: *\{.*\})?$")


@dataclass
class Fence:
    """A block of code of a page."""

    line: int  # of its first line in the page
    language: str
    text: str = ""
    marks: dict[str, str] = field(default_factory=dict)  # mark → REASON or COMMAND
    message: str = ""  # the text fence after a fence that fails

    def commands(self) -> list[str]:
        """Return the commands, each on one line, without comments."""
        lines = HERE.sub(r"\2", self.text).replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pages() -> list[Path]:
    """Return all pages that a reader may see on the site, and README."""
    return [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fences(page: Path) -> list[Fence]:
    """Return all fences of a page, with the comments before them."""
    found: list[Fence] = []
    marks: dict[str, str] = {}
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if start := FENCE.match(line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == "```")
            inside = [text.removeprefix(start["indent"]) for text in lines[number + 1 : end]]
            text = "\n".join(inside) + "\n"
            if start["language"] == "text" and found and "fails" in found[-1].marks and not found[-1].message:
                found[-1].message = text
            else:
                found.append(Fence(number + 2, start["language"], text, marks))
            marks, number = {}, end
        elif line.lstrip().startswith("<!--"):
            end = next(n for n in range(number, len(lines)) if "-->" in lines[n])
            if comment := COMMENT.search("\n".join(lines[number : end + 1])):
                marks = {**marks, comment["mark"]: comment["rest"] or ""}
            number = end
        elif line.strip():
            marks = {}
        number += 1
    return found


def links(page: Path) -> list[str]:
    """Return where the links and pictures of a page lead, without those to other servers."""
    text = re.sub(r"^ *```.*?^ *```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the names by which a link reaches a heading of a page, as GitHub and the site make them."""
    names: set[str] = set()
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        inside ^= line.lstrip().startswith("```")
        if not inside and (heading := HEADING.match(line)):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            names.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return names
