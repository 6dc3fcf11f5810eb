"""`bleuprint runs` on made-up results."""

import json
import shutil
from pathlib import Path

import pytest
from made_up import METRICS, REFERENCES, make_run

from bleuprint.commands import cli
from bleuprint.commands.disk import human, size
from bleuprint.commands.runs import STATES, runs, table
from bleuprint.files import DataError, read_json, write_json


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def listed(capsys: pytest.CaptureFixture[str], *words: str, key: str = "date") -> list[str]:
    assert runs(words, key, as_json=True) == 0
    return [row["run"] for row in json.loads(capsys.readouterr().out)]


def test_each_run_has_scores_date_size_and_whether_its_stages_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    first = make_run(seed=1)
    make_run(seed=2)
    shutil.rmtree(first["stages"]["training"])
    Path(first["stages"]["decoding"], "hypotheses.txt").write_text("cut short")
    Path(first["stages"]["scoring"], "seal.json").unlink()
    assert runs([], "run", as_json=True) == 0
    one, two = json.loads(capsys.readouterr().out)
    assert set(one) == {
        *("run", "recipe", "corpus", "model", "seed", "source", "target", "overrides", "sentences"),
        *("scores", "tests", "date", "bytes", "missing", "unsealed", "damaged"),
    }  # stable: scripts read it
    assert one["scores"] == {name: first["metrics"][name]["score"] for name in METRICS}
    assert [one[word] for word in STATES] == [["training"], ["scoring"], ["decoding"]]
    assert [two[word] for word in STATES] == [[], [], []]
    assert two["date"] == read_json(Path("results/scoring/demo-transformer-seed2/seal.json"))["sealed"]
    folders = [Path("results/runs/demo-transformer-seed2"), Path("results/corpus/demo"), Path("results/text/demo")]
    folders += [Path("results", stage, "demo-transformer-seed2") for stage in ("training", "decoding", "scoring")]
    assert two["bytes"] == sum(path.lstat().st_size for one in folders for path in one.rglob("*") if not path.is_dir())
    assert runs([], "run", as_json=False) == 0
    shown = capsys.readouterr().out
    assert "missing: training; unsealed: scoring; damaged: decoding\n" in shown and "  all\n" in shown


def test_a_date_is_known_from_the_record_when_the_stage_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(make_run()["stages"]["scoring"])
    assert runs([], "date", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["date"]


def test_runs_are_sorted_and_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    ter = {"ter": {"metric": "ter", "text": "tokens", "lowercase": True, "tokenize": None}}
    bad = [f"{line} and much more" for line in REFERENCES]
    make_run("lightconv", 1, hypotheses=bad, metrics=METRICS | ter, overrides=["training.lr=0.1"])
    make_run("transformer", 2, hypotheses=REFERENCES, metrics=METRICS | ter)
    make_run("transformer", 12, metrics=METRICS)
    names = ["demo-lightconv-seed1", "demo-transformer-seed12", "demo-transformer-seed2"]
    dates = dict(zip(names, ("2026-01-03", "2026-01-01", "2026-01-02"), strict=True))
    for name, day in dates.items():
        path = Path("results/runs", name, "provenance.json")
        known = read_json(path)
        known["stages"]["scoring"]["sealed"] = f"{day}T00:00:00+00:00"
        write_json(path, known)
    assert listed(capsys) == [names[0], names[2], names[1]]  # the newest first
    assert listed(capsys, key="run") == names
    assert listed(capsys, key="seed") == [names[0], names[2], names[1]]
    assert listed(capsys, key="chrf") == [names[2], names[0], names[1]]
    assert listed(capsys, key="ter") == [names[2], names[0], names[1]]  # lower is better; the last has none
    with pytest.raises(DataError, match=r"--sort beauty: .* bleu_tok_lc"):
        runs([], "beauty", as_json=False)
    assert listed(capsys, "transformer", "seed=2") == [names[2]]  # and not 12
    assert listed(capsys, "lr=0.1") == listed(capsys, "model=lightconv") == [names[0]]
    assert runs(["seed=7"], "date", as_json=False) == 0
    assert "none matches seed=7" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_is_named_and_the_others_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no runs"):
        runs([], "date", as_json=False)
    make_run(seed=1)
    make_run(seed=2)
    Path("results/runs/demo-transformer-seed1/scores.json").write_text("{")
    assert runs([], "date", as_json=False) == 1
    shown = capsys.readouterr()
    assert "seed2" in shown.out and "seed1 cannot be read" in shown.err


def test_a_table_is_whole_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    make_run()
    runs([], "run", as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    row |= {"run": "iwslt14-transformer_iwslt_de_en-seed1-0123abcd"}
    row["scores"] = dict.fromkeys(("bleu_tok_lc", "chrf", "sacrebleu_lc", "ter"), 34.56)
    for width in (60, 80, 120):
        lines = table([row], width).split("\n")
        assert max(map(len, lines)) <= width
        name = "".join(line.split(" ")[0] for line in lines[1 : lines.index("")])
        assert name == row["run"]  # where there is no room it is broken, never cut
        assert "bleu_tok_lc" in lines[0] and "34.56" in lines[1] and "2026" in lines[1] and "kB" in lines[1]
    assert len(table([row], 80).split("\n")) == 5  # such a name, one score, date and size just fit
    row |= {"missing": ["corpus", "text", "training"], "damaged": ["decoding"]}
    lines = table([row], 80).split("\n")
    assert max(map(len, lines)) <= 80 and all(stage in "".join(lines) for stage in ("corpus", "training", "decoding"))
    assert "No room for chrf, sacrebleu_lc, ter; --json" in table([row], 80)
    assert "No room for" not in table([row], None)


@pytest.mark.parametrize(
    "words", ["runs seed=1 --sort chrf", "diff seed1 seed2", "clean seed1 --dry-run", "clean --yes"]
)
def test_the_command_line_reaches_them(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(seed=1)
    make_run(seed=2)
    monkeypatch.setattr("sys.argv", ["bleuprint", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and capsys.readouterr().out
    assert len(list(Path("results/runs").iterdir())) == 2


def test_sizes_count_a_file_with_two_names_once_and_know_what_a_deletion_frees(tmp_path: Path) -> None:
    Path("a").mkdir()
    Path("a/model").write_bytes(b"x" * 1000)
    Path("b").hardlink_to("a/model")
    Path("a/link").symlink_to("/etc/passwd")
    assert 1000 < size([Path("a"), Path("b")]) < 1100
    assert size([Path("b")], only_here=True) == 0 and size([Path("a"), Path("b")], only_here=True) > 1000
    assert [human(1), human(345_600), human(999_600), human(12_345_678_901)] == ["0 kB", "346 kB", "1 MB", "12.3 GB"]
