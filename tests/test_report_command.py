"""`bleuprint report` on made-up results: runs of several folders, read and never written to."""

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from made_up import REFERENCES, make_run, noisy

from bleuprint.commands import cli
from bleuprint.commands.report import report
from bleuprint.files import DataError, read_json

FILES = {"index.html", "scores.json", "scores.tsv", "scores.txt", "scores.md", "comparison.json", "seal.json"}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run with seed 2, as it is named from here."""
    (tmp_path / "else").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "else")
        make_run(seed=2)
    return Path("../else/results/runs/demo-transformer-seed2")


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


@pytest.mark.slow
def test_runs_of_two_folders_are_compared_and_only_read(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(seed=1)
    make_run("lightconv", 1, noisy(REFERENCES, 0.6, 1))
    before = state(tmp_path)
    assert report(["transformer", "lightconv", str(elsewhere), str(elsewhere.resolve())], None, Path("a/page")) == 0
    after = state(tmp_path)
    made = {path.relative_to(tmp_path / "here") for path in after.keys() - before.keys()}
    assert made == {Path("a"), Path("a/page"), *(Path("a/page", name) for name in FILES)}
    changed = {path for path in before if before[path] != after[path]}
    assert changed <= {tmp_path / "here"}
    shown = capsys.readouterr().out
    assert shown == Path("a/page/scores.txt").read_text() and "a/page/index.html" in shown
    assert "lightconv against transformer, bleu_tok_lc: this model is worse" in shown
    first, other, second = read_json(Path("a/page/scores.json"), list)
    assert first["stages"]["text"] == "results/text/demo" and other["model"] == "lightconv"
    assert second["stages"]["training"] == "../else/results/training/demo-transformer-seed2"
    groups = read_json(Path("a/page/comparison.json"))["groups"]
    assert groups[0]["runs"] == ["demo-transformer-seed1", "demo-transformer-seed2"]  # seeds of one group


@pytest.mark.slow
def test_links_lead_from_the_page_to_the_runs_files(elsewhere: Path) -> None:
    make_run(seed=1)
    report(["seed1", str(elsewhere)], None, Path("a/page"))
    addresses = re.findall(r'href="([^#"]*/runs/[^"]*)"', Path("a/page/index.html").read_text())
    assert len(addresses) == 2 * len(("hypotheses.txt", "train.log", "config.yaml", "commands.sh"))
    assert all(Path("a/page", unquote(address)).exists() for address in addresses)
    assert "../../../else/results/runs/demo-transformer-seed2/config.yaml" in addresses


@pytest.mark.slow
def test_only_a_report_is_overwritten() -> None:
    make_run(seed=1)
    report([], None, Path("page"))
    make_run(seed=2)
    report([], None, Path("page"))
    assert len(read_json(Path("page/scores.json"), list)) == 2
    Path("empty").mkdir()
    report([], None, Path("empty"))
    Path("thesis").mkdir()
    Path("thesis/index.html").write_text("mine")
    Path("file").write_text("mine")
    problems = {"thesis": "other files than a report", "file": "is a file", "results/report": "Snakemake's last call"}
    for folder, problem in problems.items():
        with pytest.raises(DataError, match=f"{folder}: .*{problem}.*--output"):
            report([], None, Path(folder))
    assert Path("thesis/index.html").read_text() == "mine" == Path("file").read_text()


@pytest.mark.slow
def test_the_baseline_is_chosen_or_that_of_the_first_run() -> None:
    make_run("transformer")
    make_run("lightconv")
    report(["transformer", "lightconv"], None, Path("page"))
    assert read_json(Path("page/comparison.json"))["baseline"] == "transformer"
    report(["transformer", "lightconv"], "lightconv", Path("page"))
    assert read_json(Path("page/comparison.json"))["baseline"] == "lightconv"
    with pytest.raises(DataError, match="--baseline rnn names no group; the groups are: transformer, lightconv"):
        report(["transformer", "lightconv"], "rnn", Path("other"))
    assert not Path("other").exists()


def test_runs_that_cannot_be_shown_are_named(elsewhere: Path) -> None:
    with pytest.raises(DataError, match="no runs in results/runs here; start some"):
        report([], None, Path("page"))
    make_run(seed=2)
    with pytest.raises(DataError, match=r"runs of the same name.* leave one out, or .* bleuprint diff"):
        report(["seed2", str(elsewhere)], None, Path("page"))
    with pytest.raises(DataError, match="seed7 names no run; results/runs has: demo-transformer-seed2"):
        report(["seed7"], None, Path("page"))
    Path("results/runs/demo-transformer-seed2/provenance.json").unlink()
    with pytest.raises(DataError, match=r"provenance\.json is missing"):  # as bleuprint diff says it
        report(["seed2"], None, Path("page"))
    (elsewhere / "provenance.json").write_text('{"format": 0}')
    with pytest.raises(DataError, match="written by another version of bleuprint; use that version"):
        report([str(elsewhere)], None, Path("page"))
    assert not Path("page").exists()


def test_a_file_that_is_gone_is_named_with_what_brings_it_back_there(elsewhere: Path) -> None:
    stages = elsewhere.parents[1]
    (stages / "training/demo-transformer-seed2/metrics.jsonl").unlink()
    with pytest.raises(DataError) as error:
        report([str(elsewhere)], None, Path("page"))
    training = "../else/results/training/demo-transformer-seed2"
    removed = f"delete {training}/seal.json, call Snakemake for that run with the target training"
    assert str(error.value).startswith(f"{training}/metrics.jsonl does not exist any more; {removed}")  # not the model
    shutil.rmtree(elsewhere)
    with pytest.raises(DataError, match="names no run"):
        report([str(elsewhere)], None, Path("page"))


def test_the_command_line_reaches_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(seed=1)
    monkeypatch.setattr("sys.argv", ["bleuprint", "report", "seed1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and "report/index.html" in capsys.readouterr().out
    assert {path.name for path in Path("report").iterdir()} == FILES
