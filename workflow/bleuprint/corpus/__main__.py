"""python -m bleuprint.corpus: write a corpus' raw parts into a folder."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bleuprint.corpus.demo import generate
from bleuprint.corpus.iwslt14 import read_archive
from bleuprint.corpus.lines import Parts, blank_lines, check_aligned, hold_out, read_text
from bleuprint.corpus.own_text import read_part
from bleuprint.files import exit_with_message, replacing_folder, write_lines


@exit_with_message(OSError)
def main() -> None:
    """Write the parts; bad input ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.corpus", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the corpus' identity, config.yaml of its folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for PART.LANGUAGE files")
    parser.add_argument("--downloads", type=Path, required=True, help="folder that keeps downloads")
    parser.add_argument("--archive", help="the archive's name")
    parser.add_argument("--source", action="append", default=[], help="URL, file: or path; tried in this order")
    parser.add_argument("--mirror", type=Path, help="folder searched before the sources")
    parser.add_argument(
        "--local", action="append", default=[], metavar="PART=PREFIX", help="the user's own files, in order"
    )
    arguments = parser.parse_args()
    identity = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    languages = tuple(identity["languages"])
    parts = READERS[identity["kind"]](identity, arguments)
    check_aligned(parts, languages, f"corpus {identity['kind']}")
    with replacing_folder(arguments.output) as folder:
        for name, lines in parts.items():
            write_lines(folder / name, lines)
    for part in dict.fromkeys(name.split(".")[0] for name in parts):
        print(f"{part}: {len(parts[f'{part}.{languages[0]}']):,} pairs")
    for sentence in blank_lines(parts):
        print(f"Note: {sentence}", file=sys.stderr)


def _iwslt14(identity: dict[str, Any], arguments: argparse.Namespace) -> Parts:
    from bleuprint.corpus.fetch import fetch  # 0.1 s, and not every corpus is downloaded

    chosen = {key: identity[key] for key in ("year", "test_sets", "valid_sets") if key in identity}
    parts: Parts = fetch(
        arguments.archive,
        arguments.source,
        arguments.downloads,
        mirror=arguments.mirror,
        size=identity["bytes"],
        digest=identity["sha256"],
        another='overrides="corpus.bytes=… corpus.sha256=…"',
        read=partial(read_archive, languages=tuple(identity["languages"]), **chosen),
    )
    return parts


def _files(identity: dict[str, Any], arguments: argparse.Namespace) -> Parts:
    from bleuprint.corpus.fetch import fetch

    return {
        part: fetch(
            file["name"],
            [f"{source.rstrip('/')}/{file['name']}" for source in arguments.source],
            arguments.downloads,
            mirror=arguments.mirror,
            digest=file["sha256"],
            read=read_text,
        )
        for part, file in identity["files"].items()
    }


def _demo(identity: dict[str, Any], arguments: argparse.Namespace) -> Parts:
    sizes = {"train": identity["pairs"], "valid": identity["valid_pairs"], "test": identity["test_pairs"]}
    return generate(sizes, identity["seed"])


def _local(identity: dict[str, Any], arguments: argparse.Namespace) -> Parts:
    languages = tuple(identity["languages"])
    prefixes: dict[str, list[str]] = {}
    for word in arguments.local:
        part, _, prefix = word.partition("=")
        prefixes.setdefault(part, []).append(prefix)
    parts: Parts = {}
    for part, wheres in prefixes.items():
        parts |= read_part(part, wheres, languages)
    return parts if "test" in prefixes else hold_out(parts, languages, identity["test_every"])


READERS = {"iwslt14": _iwslt14, "files": _files, "demo": _demo, "local": _local}

if __name__ == "__main__":
    main()
