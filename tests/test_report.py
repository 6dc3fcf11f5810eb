"""The run's folder and the report: a stable interface for scripts, a table for people."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bleuprint.files import DataError
from bleuprint.report import commands, read_run, rows, show, write_table

RUN = {
    "run": "demo-transformer_tiny-seed1-0a1b2c3d",
    "recipe": "demo",
    "corpus": "demo",
    "model": "transformer_tiny",
    "seed": 1,
    "overrides": [],
    "sentences": 500,
    "metrics": {
        "bleu_tok_lc": {"score": 91.234, "signature": "s", "brevity_penalty": 0.99, "length_ratio": 0.98},
        "chrf": {"score": 95.5, "signature": "c"},
    },
}


def test_rows_are_flat() -> None:
    assert rows([RUN])[0] == {
        "run": RUN["run"],
        "recipe": "demo",
        "corpus": "demo",
        "model": "transformer_tiny",
        "seed": 1,
        "sentences": 500,
        "overrides": "",
        "bleu_tok_lc": 91.234,
        "chrf": 95.5,
        "brevity_penalty": 0.99,
        "length_ratio": 0.98,
    }


def test_the_terminal_table_names_overrides_where_there_are_any() -> None:
    other: dict[str, Any] = RUN | {"overrides": ["decoding.beam=8"]}
    assert "overrides" not in show(rows([RUN]))
    table = show(rows([RUN, other]))
    assert "decoding.beam=8" in table and "91.23" in table and "0.99" in table
    assert max(map(len, show(rows([RUN])).splitlines())) <= 120


def test_files_of_the_report(tmp_path: Path) -> None:
    ter: dict[str, Any] = RUN | {"metrics": {"ter": {"score": 5.0, "signature": "t"}}}
    write_table(tmp_path, [RUN, ter])
    assert json.loads((tmp_path / "scores.json").read_text()) == [RUN, ter]
    with open(tmp_path / "scores.tsv") as file:
        first, second = csv.DictReader(file, delimiter="\t")
    assert (first["bleu_tok_lc"], first["ter"], second["ter"]) == ("91.234", "", "5.0")


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"format": 1} | RUN))
    assert read_run(path) == RUN
    path.write_text(json.dumps(RUN))
    with pytest.raises(DataError, match="another version of bleuprint; move"):
        read_run(path)


def test_commands_are_those_the_shell_traced(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("+ fairseq-train data --adam-betas '(0.9, 0.98)'\n2026 | INFO | + unlike\n++ unlike\n")
    assert "fairseq-train data --adam-betas '(0.9, 0.98)'" in commands([log])
    assert not [line for line in commands([log]) if "unlike" in line]
