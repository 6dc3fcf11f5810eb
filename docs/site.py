"""mkdocs hook: pages of the site that lie outside docs/, and links that are right on the site and in the repository."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Page of the site → file of the repository
OUTSIDE = {
    "reference/config.md": "config/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
PLACES = {file: page for page, file in OUTSIDE.items()} | {"README.md": "index.md"}
FENCE = re.compile(r"^( *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^ *<!--.*?-->\n", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<text>!?\[[^]]*\])\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for page, file in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page, and leave out its comments, which would break tables in two."""
    here = page.file.src_uri
    parts = FENCE.split(markdown)
    parts[::2] = [linked(COMMENT.sub("\n", part), here) for part in parts[::2]]
    return "".join(parts)


def linked(text: str, here: str) -> str:
    """Return a text whose links lead to pages of the site; a link to another file of the repository becomes its text.

    Args:
        text: Markdown without fences.
        here: the page of the site that it is on.
    """
    folder = posixpath.dirname(OUTSIDE.get(here, f"docs/{here}"))

    def rewritten(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match["target"]))
        place = PLACES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:
            return match["text"][1:-1]
        return f"{match['text']}({posixpath.relpath(place, posixpath.dirname(here) or '.')}{match['anchor'] or ''})"

    return LINK.sub(rewritten, text)
