"""Further test sets, `corpus.tests`: what they leave as it is, what they add, and what each command says of them."""

import json
import shlex
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Snakemake, jobs
from made_up import METRICS, make_run, noisy

from bleuprint.commands import alone, watch
from bleuprint.commands.diff import diff
from bleuprint.commands.needed import needed
from bleuprint.commands.pack import pack
from bleuprint.commands.removable import removable
from bleuprint.commands.runs import runs
from bleuprint.commands.verify import problems
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.local_text import _content_hash
from bleuprint.config.local_text import test_identity as identity
from bleuprint.files import DataError, canonical, read_json, write_json, write_lines
from bleuprint.plan.explain import explain, to_compute
from bleuprint.plan.graph import Plan
from bleuprint.plan.how import tokenise
from bleuprint.plan.keys import plan
from bleuprint.plan.keys import planned as checked
from bleuprint.record.provenance import find, read
from bleuprint.record.same import compared
from bleuprint.record.seal import ENVIRONMENT, PARENTS, seal
from bleuprint.report import test_sets
from bleuprint.report.soundness import cleaning
from bleuprint.scoring.metrics import score
from bleuprint.text import check_test
from bleuprint.text.tokenise import main as tokenise_main

NOTHING = {"stage": "", "files": {}, "parents": {}}  # a seal
MINE = "corpus.tests={mine:data/mine}"
BOTH = "corpus.tests={mine:data/mine,other:data/other}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _content_hash.cache_clear()  # it knows files by their paths
    write_test_sets(Path("data"))


def write_test_sets(folder: Path) -> None:
    """Write a test set with two references and an empty line, one with one reference, and one of differing lines."""
    write_lines(folder / "mine.de", ["eine Katze", "", "ein Hund"])
    write_lines(folder / "mine.en.ref0", ["a cat", "", "a dog"])
    write_lines(folder / "mine.en.ref1", ["one cat", "", "one dog"])
    write_lines(folder / "other.de", ["ein Buch", "zwei"])
    write_lines(folder / "other.en", ["a book", "two"])
    write_lines(folder / "bad.de", ["eins", "zwei"])
    write_lines(folder / "bad.en", ["one"])


def planned(overrides: str = "", **cli: Any) -> Plan:
    return plan(experiments({"recipe": "demo", "overrides": overrides, **cli}))


# Identity


def test_a_test_set_changes_no_run() -> None:
    (alone_run,) = planned().runs
    (run,) = planned(BOTH).runs
    assert (run.name, run.keys, run.group) == (alone_run.name, alone_run.keys, alone_run.group)
    assert alone_run.tests == {} and list(run.tests) == ["mine", "other"]
    assert "tests" in json.loads(run.description) and "tests" not in json.loads(alone_run.description)
    assert not json.loads(run.description)["overrides"]  # it is no other run, so the report need not tell it apart
    (fewer,) = planned(MINE).runs
    assert fewer.tests == {"mine": run.tests["mine"]}
    write_lines(Path("data/changed.de"), ["eine Katze", "", "ein Pferd"])
    for number in (0, 1):
        write_lines(Path(f"data/changed.en.ref{number}"), ["a", "", "b"])
    (changed,) = planned("corpus.tests={mine:data/changed}").runs
    assert changed.name == run.name
    assert not set(changed.tests["mine"].items()) & set(run.tests["mine"].items())
    (moved,) = planned("corpus.tests={his:data/mine}").runs
    assert {stage: key[-8:] for stage, key in moved.tests["his"].items()} == {
        stage: key[-8:] for stage, key in run.tests["mine"].items()
    }  # only the label knows its name


def test_each_stage_of_a_test_set_has_what_decides_it() -> None:
    both = planned(BOTH)
    (run,) = both.runs
    slices = {stage: both.stage(stage, key).slice for stage, key in run.tests["mine"].items()}
    assert list(slices) == ["testset", "decoding", "scoring"]
    assert slices["testset"].keys() == {"parent", "source", "references"} and len(slices["testset"]["references"]) == 2
    own = both.stage("decoding", run.keys["decoding"]).slice
    assert slices["decoding"] == own | {"test": {"set": run.tests["mine"]["testset"][-8:]}}
    assert slices["scoring"] == both.stage("scoring", run.keys["scoring"]).slice | {
        "parent": run.tests["mine"]["decoding"][-8:]
    }
    assert both.test_file("scoring", run.tests["mine"]["scoring"], "corpus", "raw").startswith("results/testset/mine-")
    assert both.test_file("scoring", run.keys["scoring"], "corpus", "raw").startswith("results/corpus/")


def test_tuning_is_the_runs_own_and_an_ensemble_decodes_all() -> None:
    tuned = planned(f"{MINE} decoding.tune={{beam:[1,2]}}")
    (run,) = tuned.runs
    decoding = run.tests["mine"]["decoding"]
    assert tuned.tuned(decoding, "tuned.json") == [f"results/decoding/{run.keys['decoding']}/tuned.json"]
    assert f"results/decoding/{run.keys['decoding']}/seal.json" in tuned.test_seals("decoding", decoding, ["text"])
    together = planned(f"{MINE} decoding.ensemble=[2]")
    (run,) = together.runs
    assert together.models(run.tests["mine"]["decoding"]) == together.models(run.keys["decoding"])
    assert len(together.models(run.keys["decoding"])) == 2


def test_wrong_test_sets_end_before_any_job() -> None:
    with pytest.raises(DataError, match=r"data/missing.de: no such file"):
        planned("corpus.tests={mine:data/missing}")
    with pytest.raises(DataError, match=r"sacrebleu/wmt99: sacreBLEU has no test set of this name; .*wmt"):
        planned("corpus.tests={mine:sacrebleu/wmt99}")
    with pytest.raises(ConfigError, match=r"corpus.tests: cannot be swept"):
        planned("corpus.tests={mine:data/mine},{other:data/other}")


# Explain and watch


def finish(stage: str, key: str) -> None:
    write_json(Path("results", stage, key, "seal.json"), NOTHING)


def finish_all(made: Plan, tests: bool = True) -> None:
    """Seal all folders of a run, and gather it."""
    (run,) = made.runs
    for stage, key in run.needs if tests else run.keys.items():
        finish(stage, key)
    scores = {"tests": {name: {"stages": folders} for name, folders in run.test_folders.items()}} if tests else {}
    write_json(Path("results/runs", run.name, "scores.json"), scores)


def test_only_what_a_new_test_set_needs_is_computed() -> None:
    finish_all(planned(MINE))
    both = planned(BOTH)
    (run,) = both.runs
    assert to_compute(planned(MINE)) == set()
    assert to_compute(both) == set(run.tests["other"].items())
    Path("results/corpus", run.keys["corpus"], "seal.json").unlink()  # a test set is not made from the corpus
    assert to_compute(both) == set(run.tests["other"].items())
    rows = [line.split() for line in explain(both).splitlines()[2:5]]
    assert rows == [
        [run.name, "not", "now", *["reused"] * 4],
        ["on", "mine", *["reused"] * 3],
        ["on", "other", *["computed"] * 3],
    ]
    text = explain(both)
    assert f"testset/{run.tests['other']['testset']}: unlike {run.tests['mine']['testset']}: another text" in text
    assert f"decoding/{run.tests['other']['decoding']}: unlike {run.keys['decoding']}: on another test set" in text


def test_a_test_set_with_new_text_is_scored_again() -> None:
    finish_all(planned(MINE))
    write_lines(Path("data/new.de"), ["eine Maus"])
    write_lines(Path("data/new.en"), ["a mouse"])
    changed = planned("corpus.tests={mine:data/new}")
    assert to_compute(changed) == set(changed.runs[0].tests["mine"].items())


def test_a_test_set_that_is_decoded_leaves_the_runs_own_scores() -> None:
    made = planned(MINE)
    (run,) = made.runs
    for stage, key in run.needs:
        finish(stage, key)
    decoding = Path("results/decoding", run.tests["mine"]["decoding"], "seal.json")
    decoding.unlink()
    assert to_compute(made) == {(stage, run.tests["mine"][stage]) for stage in ("decoding", "scoring")}
    Path("results/training", run.keys["training"], "seal.json").unlink()
    assert to_compute(made) == set(run.needs) - {(stage, run.keys[stage]) for stage in ("corpus", "text")} - {
        ("testset", run.tests["mine"]["testset"])
    }


def test_a_run_is_not_done_before_its_test_sets_are() -> None:
    make_run(run=planned().runs[0].name)
    alone.remember(planned(MINE))
    (known,) = json.loads(alone.CURRENT.read_text())["runs"]
    seen = []
    for stage in ("testset", "decoding", "scoring"):
        folder = Path(known["tests"]["mine"][stage])
        write_lines(folder / "a.log", [])
        seen.append((watch.state(known, True).stage, watch.state(known, True).state))
        write_json(folder / "seal.json", NOTHING)
    assert seen == [(f"{stage} (mine)", "running") for stage in ("testset", "decoding", "scoring")]
    assert watch.state(known, True).state == "done"
    assert set(map(Path, known["tests"]["mine"].values())) <= needed()  # a stopped call still needs them


# Commands on finished runs


def make_tested(seed: int, share: float) -> dict[str, Any]:
    """Write a finished run that is also scored on a test set with two references; its scores.json."""
    references = [[f"{word} number {n} of ten" for n in range(10)] for word in ("the", "a")]
    folders = {stage: f"results/{stage}/mine-seed{seed}" for stage in ("decoding", "scoring")}
    folders = {"testset": "results/testset/mine"} | folders
    paths = {stage: Path(folder) for stage, folder in folders.items()}
    for kind in ("raw", "tokenized"):
        for name, lines in zip(("test.de", "test.en", "test.en.1"), (references[0], *references), strict=True):
            write_lines(paths["testset"] / kind / name, lines)
    hypotheses = noisy(references[0], share, seed)
    for name in ("hypotheses.txt", "hypotheses.tok"):
        write_lines(paths["decoding"] / name, hypotheses)
    scored = {name: score(metric, hypotheses, references, 100) for name, metric in METRICS.items()}
    write_json(
        paths["scoring"] / "scores.json", {"sentences": 10, "metrics": {name: s[0] for name, s in scored.items()}}
    )
    write_json(paths["scoring"] / "sentences.json", {name: singles for name, (_, singles) in scored.items()})
    for path in paths.values():
        write_json(path / ENVIRONMENT, {})
        write_json(path / PARENTS, {})
        seal(path)
    return make_run(seed=seed, tests={"mine": folders})


def test_runs_lists_test_sets_and_their_stages(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_tested(1, 0.2)
    Path(run["tests"]["mine"]["stages"]["decoding"], "seal.json").unlink()
    assert runs([], "date", as_json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)
    scores = {name: metric["score"] for name, metric in run["tests"]["mine"]["metrics"].items()}
    assert row["tests"] == {"mine": {"sentences": 10, "scores": scores}}
    assert row["unsealed"] == ["decoding (mine)"]
    assert runs([], "date", as_json=False) == 0
    assert "unsealed: decoding (mine)" in " ".join(capsys.readouterr().out.split())


def test_an_archive_holds_the_test_sets() -> None:
    run = make_tested(1, 0.2)
    for folder in [*run["stages"].values(), *run["tests"]["mine"]["stages"].values()]:
        write_lines(Path(folder, "config.yaml"), [])
    with tarfile.open(pack(run["run"], None, checkpoint=False)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        member = archive.extractfile(f"{run['run']}/README.txt")
        assert member is not None
        readme = member.read().decode()
    files = ["hypotheses.txt", "hypotheses.tok", "scores.json", "sentences.json"]
    files += [f"stages/{stage}.yaml" for stage in ("testset", "decoding", "scoring")]
    assert {f"tests/mine/{name}" for name in files} <= names
    assert "On the further test set mine, 10 sentences:\nbleu_tok_lc " in readme and "nrefs:2" in readme


def test_verify_and_clean_know_the_test_sets() -> None:
    run = make_tested(1, 0.2)
    folder = find(run["run"])
    assert problems(folder, read(folder)) == [] and removable([]) == []
    raw = Path(run["tests"]["mine"]["stages"]["testset"], "raw/test.en.1")
    raw.write_text("changed\n")
    (line,) = problems(folder, read(folder))
    assert line.startswith(f"changed  {raw}:")


def test_diff_shows_the_scores_on_test_sets(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make_tested(1, 0.2), make_tested(2, 0.4)
    assert diff(first["run"], second["run"]) == 0
    shown = capsys.readouterr().out
    part = shown.partition("Scores on the further test set mine\n")[2]
    metric = f"{first['tests']['mine']['metrics']['chrf']['score']:.2f}"
    assert metric in part.partition("Translations")[0]
    assert "corpus.tests" not in shown
    third = make_run(seed=3)
    assert diff(first["run"], third["run"]) == 0
    shown = capsys.readouterr().out
    assert "  corpus.tests.mine: there → absent\n" in shown and "further test set" not in shown


def test_a_replay_is_compared_on_test_sets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_tested(1, 0.2)
    known = read(find(run["run"]))
    lines, same = compared(known, Path(), Path())
    assert same and "hypotheses on mine: the same bytes" in lines
    assert lines[0].count("chrf on mine") == 1
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    make_tested(1, 0.4)
    lines, same = compared(known, tmp_path, tmp_path / "again")
    assert not same and "hypotheses: the same bytes" in lines and "hypotheses on mine: differ" in lines


def test_doctor_looks_for_the_archives_of_published_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bleuprint.commands import doctor

    monkeypatch.setattr("sacrebleu.dataset.DATASETS", {"made": _Published(tmp_path / "cache")})
    made = planned("corpus.tests={a:sacrebleu/made,b:data/mine}")
    monkeypatch.setattr(doctor, "_source", lambda file, mirror, urls: (file, f"{urls}", None))
    assert doctor.sources(made, to_compute(made)) == [("set.tgz", "['https://made.example/x/set.tgz']", None)]
    write_lines(tmp_path / "cache/raw.set.tgz", [])
    assert doctor.sources(made, to_compute(made)) == [("set.tgz", f"{tmp_path}/cache/raw.set.tgz", None)]


class _Published:
    """What bleuprint asks of one of sacreBLEU's sets."""

    data = ("https://made.example/x/set.tgz",)
    md5 = ("0123",)
    langpairs = ("de-en",)

    def __init__(self, folder: Path) -> None:
        self._rawdir = str(folder)

    def _get_tarball_filename(self, url: str) -> str:
        return f"raw.{url.rpartition('/')[2]}"


# A whole call. fairseq is a stand-in here


def words(tests: str, *config: str) -> list[str]:
    return ["--config", "recipe=demo", *config, f"overrides={TINY} scoring.resamples=100 corpus.tests={tests}"]


def test_a_call_with_test_sets(
    snakemake: Snakemake, fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    result = snakemake(*words("{mine:data/mine,other:data/other}"), env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    programs = [json.loads(line)[0] for line in Path(fake_fairseq["CALLS"]).read_text().splitlines()]
    assert (programs.count("fairseq-train"), programs.count("fairseq-generate")) == (1, 3)
    report = tmp_path / "results/report"
    rows = json.loads((report / "scores.json").read_text())
    for row in rows:
        assert {name: test["sentences"] for name, test in row["tests"].items()} == {"mine": 3, "other": 2}
        mine = row["tests"]["mine"]
        assert "nrefs:2" in mine["metrics"]["bleu_tok_lc"]["signature"]
        hypotheses = (tmp_path / mine["stages"]["decoding"] / "hypotheses.txt").read_text()
        assert hypotheses.splitlines()[1] == "" and hypotheses.splitlines()[0] != ""
        commands = (tmp_path / "results/runs" / row["run"] / "commands.sh").read_text()
        assert "bleuprint.text.test_set" in commands and "bleuprint.corpus.test_sets" in commands
    assert list(read_json(report / "comparison.json")["tests"]) == ["mine", "other"]
    table = [line.split("\t") for line in (report / "scores.tsv").read_text().splitlines()]
    assert [row[table[0].index("test")] for row in table[1:]] == ["", "mine", "other"]
    assert "### mine" in (report / "scores.md").read_text()
    assert "Further test set mine, 3 sentences:" in (report / "scores.txt").read_text()
    page = (report / "index.html").read_text()
    assert '<a href="#tests">Test sets</a>' in page and "<h2>Further test sets</h2>" in page
    assert "3 sentences with 2 references each" in page and "<h3>Scores on <bdi>mine</bdi></h3>" in page

    write_lines(Path("data/third.de"), ["drei"])
    write_lines(Path("data/third.en"), ["three"])
    # A run with fewer test sets is only gathered again; one with another seed shares them
    gathered = {"gather_run": 1, "write_report": 1, "all": 1}
    another_seed = {"train": 1, "translate": 2, "score": 2, "gather_run": 2}
    assert jobs(snakemake("-n", *words("{mine:data/mine}", "seed=1,2"))) == gathered | another_seed

    (tokenized,) = tmp_path.glob("results/testset/other-*/tokenized/test.en")
    tokenized.write_text("3\n")
    damaged = snakemake(*words("{other:data/other} decoding.beam=8"), env=fake_fairseq)
    assert damaged.returncode != 0
    assert f"results/testset/{tokenized.parents[1].name}/tokenized/test.en" in damaged.stderr
    # A test set is not made from the corpus
    shutil.rmtree(tmp_path / "results/corpus")
    three = words("{mine:data/mine,other:data/other,third:data/third}")
    added = {"fetch_test": 1, "prepare_test": 1, "translate": 1, "score": 1}
    assert jobs(snakemake("-n", *three)) == added | gathered


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("data/bad", "data/bad: test.de has 2 lines and test.en has 1"),
        ("data/blank", "data/blank: test.de is empty"),
    ],
)
def test_a_test_set_that_cannot_be_scored_ends_before_any_job(
    capsys: pytest.CaptureFixture[str], where: str, message: str
) -> None:
    write_lines(Path("data/blank.de"), ["", " "])
    write_lines(Path("data/blank.en"), ["a", "b"])
    with pytest.raises(SystemExit) as error:
        checked({"recipe": "demo", "overrides": f"corpus.tests={{bad:{where}}}"})
    assert message in f"{error.value}{capsys.readouterr().err}"
    (key,) = planned(f"corpus.tests={{bad:{where}}}").stages["testset"]
    Path("results/testset", key, "raw").mkdir(parents=True)
    checked({"recipe": "demo", "overrides": f"corpus.tests={{bad:{where}}}"})  # a job has read it


# Beside the training text


def test_only_with_decontaminate_does_a_test_set_decide_the_text() -> None:
    (plain,), (clean,) = planned(MINE).runs, planned("corpus.decontaminate=true").runs
    both = planned(f"{BOTH} corpus.decontaminate=true")
    (run,) = both.runs
    assert plain.keys["text"] not in (clean.keys["text"], run.keys["text"]) and clean.keys["text"] != run.keys["text"]
    (renamed,) = planned("corpus.tests={b:data/mine,a:data/other} corpus.decontaminate=true").runs
    assert renamed.keys["text"] == run.keys["text"]
    slices = both.stage("text", run.keys["text"]).slice["test_sets"]
    assert slices == sorted((identity(f"data/{name}", ("de", "en")) for name in ("mine", "other")), key=canonical)
    assert tokenise(planned(MINE), plain.keys["text"])["test_sets"] == ""
    assert tokenise(both, run.keys["text"])["test_sets"].strip() == "--test-set mine=data/mine other=data/other"


def test_decontaminate_leaves_out_pairs_of_further_test_sets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [
        ("Ein Hund!", "one dog"),
        ("ein Hund", "two dogs"),
        ("zwei", "two"),
        *((f"w {n}", f"v {n}") for n in range(7)),
    ]
    for language, side in (("de", 0), ("en", 1)):
        write_lines(Path(f"raw/train.{language}"), [pair[side] for pair in pairs])
        write_lines(Path(f"raw/test.{language}"), ["x"])
    both = planned(f"{BOTH} corpus.decontaminate=true text=own")
    ((key, text),) = both.stages["text"].items()
    write_json(Path("config.yaml"), text.slice | {"valid_every": 4})
    flags = "--config config.yaml --raw raw --output out --cleaning cleaning.json"
    words = shlex.split(f"{flags} {tokenise(both, key)['test_sets']}")
    monkeypatch.setattr("sys.argv", ["tokenise", *words])
    tokenise_main()
    kept = [line for part in ("train", "valid") for line in Path(f"out/{part}.de").read_text().splitlines()]
    assert sorted(kept) == ["ein Hund", *(f"w {n}" for n in range(7))]  # with a translation that no reference is
    counts = read_json(Path("cleaning.json"))
    assert counts["left_out"] == {"decontaminated": 2} and counts["test_sets"] == {"mine": 1, "other": 1}
    assert "in further test sets: mine 1, other 1" in capsys.readouterr().err
    assert "further test sets: mine 1, other 1." in cleaning({"cleaning": counts})[0]["sentence"]
    write_lines(Path("data/other.de"), ["changed", "later"])
    _content_hash.cache_clear()
    with pytest.raises(SystemExit, match=r"test set other has changed since the call began"):
        tokenise_main()


def prepared(name: str, test: list[tuple[str, ...]]) -> tuple[Path, Path]:
    """Write what `check_test` reads of a text and a test set; their folders."""
    text, folder = Path("results/text/x"), Path("results/testset", name)
    train = [(f"der Hund sieht das Haus Nummer {n}", f"the dog sees the house number {n}") for n in range(40)]
    for language, side in (("de", 0), ("en", 1)):
        write_lines(text / f"tokenized/train.{language}", [pair[side] for pair in train])
        write_lines(text / f"bin/dict.{language}.txt", [f"{word} 1" for pair in train for word in pair[side].split()])
    for place in ("raw", "tokenized", "segmented"):
        for side, file in enumerate(["de", "en", *(f"en.{n}" for n in range(1, len(test[0]) - 1))]):
            write_lines(folder / place / f"test.{file}", [pair[side] for pair in test])
    write_json(text / "config.yaml", {"source": "de", "target": "en"})
    write_json(text / "checks.json", {})
    write_json(folder / "config.yaml", {"source": "x"})
    return folder, text


def check_command(monkeypatch: pytest.MonkeyPatch, folder: Path, text: Path) -> None:
    words = ["--folder", str(folder), "--text", str(text), "--name", folder.name, "--doubts", "error"]
    monkeypatch.setattr("sys.argv", ["check_test", *words])
    check_test.main()


def test_pairs_of_a_further_test_set_that_are_in_train_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = [("Der Hund sieht das Haus Nummer 1.", "A dog", "the dog sees the house number 1"), ("x", "y", "z")]
    folder, text = prepared("mine", leaking)
    log = "[de] a/segmented/test.de: 2 sents, 9 tokens, 9.0% replaced (by <unk>)"
    write_lines(folder / "prepare_test.log", [log])
    check_command(monkeypatch, folder, text)
    told = capsys.readouterr().err
    assert "WARNING: further test set mine: 1 of 2 test pairs (50.00 %) are in train too, 0 of them char" in told
    assert '= “the dog sees the house number 1”. To leave them out of train: overrides="corpus.decon' in told
    assert "WARNING: further test set mine: 9.0% of the subwords of test.de are unknown to the model (most" in told
    assert "too few to compare" not in told  # the raw set's job has said so
    known = read_json(folder / "checks.json")
    assert known["parts"]["test"]["source_in_train"] == 1 and known["unknown_examples"]["test.de"]
    (short, leak, unknown) = test_sets._doubts([{"stages": {"testset": str(folder)}}])
    assert short.startswith("The test set has only 2 pairs") and leak.startswith("1 of 2 test pairs")
    assert unknown.startswith("Subwords that the model's dictionaries lack: 9.00% of test.de (most often “")


def test_a_further_test_set_with_exchanged_sides_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanged = [(f"the dog sees the house number {n}", f"der Hund sieht das Haus Nummer {n}") for n in range(40)]
    with pytest.raises(SystemExit, match=r"further test set back: of 40 test pairs 40 have a line in de that looks"):
        check_command(monkeypatch, *prepared("back", exchanged))
