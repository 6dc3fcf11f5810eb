"""`bleuprint diff` on made-up results."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from made_up import METRICS, REFERENCES, make_run

from bleuprint.commands.diff import data, diff, environments, keys, scores, translations
from bleuprint.files import DataError, read_json, write_json
from bleuprint.record.provenance import read


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(run: dict[str, Any]) -> dict[str, Any]:
    return read(Path("results/runs", run["run"]))


def test_all_differences_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    changed = [f"worse {line}" if number == 3 else line for number, line in enumerate(REFERENCES)]
    first, second = make_run(seed=1, hypotheses=REFERENCES), make_run(seed=2, hypotheses=changed)
    for run, lr in ((first, 0.1), (second, 0.2)):
        path = Path("results/runs", run["run"], "provenance.json")
        known = read_json(path)
        for number, stage in enumerate(known["stages"].values()):
            stage["slice"] = {"parent": f"{lr}{number}"}
        known["stages"]["training"]["slice"] |= {"seed": run["seed"], "training": {"lr": lr, "max_update": 200}}
        known["stages"]["decoding"]["slice"]["beam"] = [1, 2] if lr == 0.1 else None
        known["stages"]["training"]["environment"]["packages"]["torch"] = f"2.{run['seed']}"
        write_json(path, known)
    assert diff("seed1", "seed2") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("1: demo-transformer-seed1\n2: demo-transformer-seed2\n\nKeys\n")
    assert (
        "  training: seed: 1 → 2\n  training: training.lr: 0.1 → 0.2\n  decoding: decoding.beam: 1, 2 → absent\n"
        in shown
    )
    assert "parent" not in shown and "max_update" not in shown  # said by the stage before, and the same
    assert "corpus: the same bytes\n  text: the same bytes\n" in shown
    assert "torch: 2.1 → 2.2 (training)\n" in shown
    score = first["metrics"]["bleu_tok_lc"]["score"]
    assert f"{score:.2f} [" in shown
    assert f"1 of {len(REFERENCES)} sentences are translated differently" in shown
    assert "sentence 4, -" in shown and f"1          {REFERENCES[3]}" in shown and f"2          {changed[3]}" in shown
    assert max(map(len, shown.split("\n"))) <= 80


def test_a_run_differs_from_itself_in_nothing() -> None:
    run = make_run()
    pair = [record(run)] * 2
    pair[0]["stages"]["corpus"]["slice"] = {"format": 1}
    assert environments(pair) == ["the same"]
    assert [line.partition(": ")[2] for line in data(pair)][:2] == ["the same bytes"] * 2
    assert translations([run, run]) == [f"0 of {len(REFERENCES)} sentences are translated differently"]
    assert all("+0.00" in line for line in scores([run, run])[2:4])


def test_keys_of_an_ensemble_and_of_a_deleted_stage() -> None:
    known = [record(make_run(seed=1)), record(make_run(seed=2))]
    for entry in known:
        for stage in entry["stages"].values():
            stage["slice"] = {"parent": "0"}
    assert keys(known) == ["the same"]
    known[1]["ensemble"] = [{"folder": "results/training/other"}]
    known[0]["stages"]["text"]["slice"] = None
    assert keys(known) == ["text: not recorded", "decoding: models of the ensemble: none → other"]


def test_data_that_differ_are_named_by_their_files() -> None:
    known = [record(make_run(seed=1)), record(make_run(seed=2, references=["a", "b"], corpus="other"))]
    assert data(known)[0] == "corpus: differs in raw/test.de, raw/test.en"
    assert data(known)[1].startswith("text: differs in ") and data(known)[1].endswith(" and 1 more")
    known[1]["stages"]["text"]["files"] = {}
    assert data(known)[1] == "text: not recorded"


def test_scores_and_sentences_that_cannot_be_compared_say_so() -> None:
    first = make_run(seed=1)
    cased = {"bleu_tok_lc": METRICS["bleu_tok_lc"] | {"lowercase": False}}
    second = make_run(seed=2, metrics=cased)
    table = "\n".join(scores([first, second]))
    assert "other settings" in table and "–" in table
    assert translations([first, second]) == [
        f"{_changed(first, second)} of {len(REFERENCES)} sentences are translated differently"
    ]
    other = make_run(seed=3, references=["a", "b"], corpus="other")
    assert translations([first, other]) == ["not compared: the runs were tested on different texts"]
    path = f"{second['stages']['decoding']}/hypotheses.txt"
    shutil.rmtree(second["stages"]["decoding"])
    assert translations([first, second]) == [f"not compared: {path} does not exist any more"]


def _changed(*runs: dict[str, Any]) -> int:
    sides = [Path(run["stages"]["decoding"], "hypotheses.txt").read_text().split("\n") for run in runs]
    return sum(one != other for one, other in zip(*sides, strict=True))


def test_runs_of_two_folders_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    make_run(seed=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    make_run(seed=2)
    assert diff("../results/runs/demo-transformer-seed1", "seed2") == 0
    assert "Those that differ most by chrf (2 − 1):" in capsys.readouterr().out
    with pytest.raises(DataError, match="names no run"):
        diff("seed2", "seed1")
