"""The run's folder and the report's tables: a stable interface for scripts, tables and words for people."""

import base64
import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from conftest import ROOT, TINY, Snakemake
from made_up import METRICS, REFERENCES, curve, make_run, noisy

from bleuprint.files import ACTING, Damaged, DataError, remove, write_json
from bleuprint.plan.graph import Plan, Run
from bleuprint.plan.how import reported
from bleuprint.report import figures, page, tables
from bleuprint.report.__main__ import runs_of
from bleuprint.report.facts import costs, device, target_tokens
from bleuprint.report.gather import commands, gather, read_config, read_run
from bleuprint.report.groups import Group, groups
from bleuprint.report.soundness import steps
from bleuprint.report.tables import rows, show
from bleuprint.report.write import advice, write


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def report(*runs: dict[str, Any], baseline: str | None = None, missing: tuple[str, ...] = ()) -> Path:
    folder = Path("results/report")
    write(folder, [Path("results/runs", run["run"], "scores.json") for run in runs], baseline, 2, list(missing))
    return folder


def test_rows_are_flat() -> None:
    run = make_run()
    (row,) = rows([run])
    assert list(row)[:7] == ["run", "recipe", "corpus", "model", "seed", "sentences", "overrides"]
    assert row["bleu_tok_lc"] == run["metrics"]["bleu_tok_lc"]["score"]
    assert (row["brevity_penalty"], row["length_ratio"], row["sentences"]) == (1, 1, 60)


def test_the_terminal_table_names_overrides_where_they_differ() -> None:
    run = make_run(overrides=["decoding.beam=8", "training.lr=1e-3"])
    other: dict[str, Any] = run | {"overrides": ["decoding.beam=4", "training.lr=1e-3"]}
    assert "overrides" not in show([run]) and "overrides" not in show([run, run])
    by = "training.start_from=['recipe=demo','corpus.share=[0,0.5]','training.max_update=100','seed=9']"
    long = [one | {"overrides": ["training.lr=0.001", "model.dropout=0.3", by]} for one in (run, other)]
    wrapped = show([run, long[1]])
    assert max(map(len, wrapped.splitlines())) <= 100 and "training.start_from=[…]" in wrapped
    assert all(name in wrapped for name in ("bleu", "0.3")) and "recipe=demo'" not in wrapped
    labels = [group.label for group in groups([run, long[1] | {"group": "another"}])]
    assert labels[1] == "training.lr=0.001 model.dropout=0.3 training.start_from=[…]"
    table = show([run, other])
    assert "decoding.beam=8" in table and f"{run['metrics']['chrf']['score']:.2f}" in table
    assert "training.lr" not in table
    assert max(map(len, show([run]).splitlines())) <= 120


def test_files_of_the_report() -> None:
    ter = {"ter": {"metric": "ter", "text": "tokens", "lowercase": True, "tokenize": None}}
    first, other = make_run(), make_run(model="lightconv", metrics=ter)
    folder = report(first, other)
    assert [run["run"] for run in json.loads((folder / "scores.json").read_text())] == [first["run"], other["run"]]
    with open(folder / "scores.tsv") as file:
        one, two = csv.DictReader(file, delimiter="\t")
    assert (one["ter"], two["bleu_tok_lc"]) == ("", "")
    assert float(two["ter"]) == other["metrics"]["ter"]["score"]
    comparison = json.loads((folder / "comparison.json").read_text())
    assert comparison["baseline"] == "transformer"
    assert {found["problem"] for found in comparison["comparisons"]} == {
        "bleu_tok_lc was not computed for both",
        "chrf was not computed for both",
        "ter was not computed for both",
    }


@pytest.mark.slow
def test_the_markdown_table_is_ready_to_paste() -> None:
    runs = [
        make_run(model, seed, noisy(REFERENCES, share, seed))
        for model, share in (("transformer", 0.3), ("lightconv", 0.1))
        for seed in (1, 2)
    ]
    text = (report(*runs) / "scores.md").read_text().splitlines()
    assert text[0].startswith("| group") and text[1].startswith("|--")
    assert text[2].split("|")[1].strip() == "lightconv"  # the best first
    first = [run["metrics"]["bleu_tok_lc"]["score"] for run in runs if run["model"] == "lightconv"]
    low, high = sorted(first)
    assert f"({low:.2f}–{high:.2f})" in text[2] and "better" in text[2]
    assert any(line.startswith("- lightconv against transformer, bleu_tok_lc: better in all 2") for line in text)
    assert any("signatures" in line.lower() for line in text) and any("`nrefs:1|bs:100|" in line for line in text)


@pytest.mark.slow
def test_the_terminal_sees_the_groups_and_the_conclusion() -> None:
    runs = [make_run(model, seed) for model in ("transformer", "lightconv") for seed in (1, 2)]
    text = (report(*runs) / "scores.txt").read_text()
    assert "against the baseline" in text and "no difference shown, 2 seed pairs" in text
    single = (report(runs[0]) / "scores.txt").read_text()
    assert "against" not in single


def test_the_page_says_how_to_get_the_same() -> None:
    run = make_run()
    write_json(
        Path(run["stages"]["training"], "environment.json"),
        {
            "threads": 3,
            "gpus": ["NVIDIA H200", "T4"],
            "commit": "c" * 40,
            "dirty": True,
            "packages": {"torch": "2.13.0"},
        },
    )
    page = (report(run) / "index.html").read_text()
    shown = {"threads": "3", "gpus": "NVIDIA H200, T4", "commit": "c" * 40, "dirty": "yes", "torch": "2.13.0"}
    assert all(f"<dt>{key}</dt><dd>{value}</dd>" in page for key, value in shown.items())
    assert f"# {run['stages']['decoding']}/translate.log: 12.5 s, 300 MiB\ndecoding-command --seed 1" in page


def test_a_run_of_another_version_is_refused() -> None:
    run = make_run()
    path = Path("results/runs", run["run"], "scores.json")
    assert read_run(path) == run
    path.write_text(json.dumps(run | {"format": 1}))
    with pytest.raises(DataError, match="another version of bleuprint; move"):
        read_run(path)


def test_commands_are_those_the_shell_traced(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("+ fairseq-train data --adam-betas '(0.9, 0.98)'\n2026 | INFO | + unlike\n++ unlike\n")
    assert "fairseq-train data --adam-betas '(0.9, 0.98)'" in commands([log])
    assert not [line for line in commands([log]) if "unlike" in line]


def test_costs_come_from_what_the_stages_left() -> None:
    found = costs(make_run())
    assert (found["parameters"], found["updates"], found["epochs"], found["device"]) == (1234, 200, 2, "A CPU")
    assert found["tokens"] == 200 * 500
    assert found["words_per_second"] == 200 * 500 / 100
    assert found["seconds"]["text"] == 5 * 1.5 and found["memory"] == dict.fromkeys(found["memory"], 300.0) | {
        "text": None
    }
    # fairseq's clock; Snakemake's runs while a job waits for a GPU
    assert found["seconds"]["training"] == 100


def test_an_ensemble_costs_the_training_of_all_its_models() -> None:
    other = make_run(seed=2)
    found = costs(make_run(ensemble=[other["stages"]["training"]]))
    assert found["seconds"]["training"] == 2 * costs(other)["seconds"]["training"] > 0
    assert found["words_per_second"] == costs(other)["words_per_second"]


def test_what_was_tuned_is_said_and_shown_as_used() -> None:
    tuned = {"picked": {"beam": 4, "lenpen": 0.6}, "bleu": 30.125, "points": [{}, {}, {}]}
    run = make_run()
    write_json(Path(run["stages"]["decoding"], "tuned.json"), tuned)
    config = yaml.safe_load(Path("results/runs", run["run"], "config.yaml").read_text())
    run = make_run(config=config | {"decoding": {"beam": 5, "lenpen": 1.0, "max_tokens": 8000}})
    shown = yaml.safe_load(Path("results/runs", run["run"], "config.yaml").read_text())
    assert shown["decoding"] == {"beam": 4, "lenpen": 0.6, "max_tokens": 8000}
    best = "beam 4 and lenpen 0.6, the best of 3 tried on the validation set (BLEU 30.12 there)"
    line = f"{run['run']}: decoded with {best}."
    folder = report(run)
    for name in ("scores.txt", "scores.md", "index.html"):
        assert line in (folder / name).read_text()


def test_costs_that_nobody_measured_are_unknown() -> None:
    run = make_run()
    for path in Path("results").rglob("*.benchmark.tsv"):
        path.unlink()
    Path(run["stages"]["training"], "environment.json").unlink()
    Path(run["stages"]["training"], "train.log").write_text("nothing\n")
    found = costs(run)
    assert found["seconds"]["decoding"] is None and found["device"] is None and found["parameters"] is None
    old = [{key: value for key, value in row.items() if key != "words_per_batch"} for row in curve(1)]
    assert target_tokens(old) is None


def test_a_long_sweep_is_told_to_the_program_by_the_calls_record(tmp_path: Path) -> None:
    runs = [SimpleNamespace(name=f"demo-transformer_tiny-seed{number}-00000000") for number in range(2500)]
    few, all_runs = (Plan(cast(list[Run], some)) for some in (runs[:100], runs))
    assert reported(few).split() == [f"results/runs/{run.name}/scores.json" for run in runs[:100]]
    assert reported(all_runs) == "--call results/current.json"
    write_json(tmp_path / "current.json", {"runs": [{"run": run.name} for run in runs[:2]]})
    assert runs_of(tmp_path / "current.json") == [tmp_path / "runs" / run.name / "scores.json" for run in runs[:2]]


def test_of_a_long_sweep_all_scores_are_shown_and_the_rest_of_some_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (page, tables):
        monkeypatch.setattr(module, "MOST", 3)
    runs = [make_run(model, seed, group=model) for model in ("a", "b", "c") for seed in (1, 2)]
    paths = [Path(f"results/runs/{run['run']}/scores.json") for run in runs]
    write(Path("results/report"), paths, None, 1, [])
    html = Path("results/report/index.html").read_text()
    assert "All else on this page is about 3 of the 6 runs" in html
    assert html.count('type="checkbox"') == 3 and all(f"{model}, seed 2" in html for model in "abc")
    text = Path("results/report/scores.txt").read_text()
    assert text.startswith("6 runs; the scores of each are in results/report/scores.tsv.")
    assert "demo-a-seed1" not in text and "demo-a-seed1" in Path("results/report/scores.tsv").read_text()
    assert Path("results/report/scores.tsv").read_text().count("\n") == 7


@pytest.mark.slow
def test_a_deleted_folder_ends_in_one_sentence() -> None:
    run = make_run()
    Path(run["stages"]["training"], "metrics.jsonl").unlink()
    command = [sys.executable, "-m", "bleuprint.report", "table", f"results/runs/{run['run']}/scores.json"]
    result = subprocess.run(
        [*command, "--folder", "results/report"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("bleuprint: results/training/demo-transformer-seed1/metrics.jsonl does not exist")
    assert result.stderr.count("\n") == 1


DAMAGES = {
    "runs/NAME/scores.json": ["", "{", "[]", "\0\xff"],
    "runs/NAME/config.yaml": ["", "a: [", "\0"],
    "runs/NAME/commands.sh": [None],
    "corpus/demo/raw/test.de": [None, "", "one line\n"],
    "text/demo/tokenized/test.en": [None, ""],
    "text/demo/checks.json": ["", "{}"],
    "text/demo/fingerprint.json": ["", '{"lines"'],
    "training/NAME/metrics.jsonl": [None, "", '{"split": "train"', "[]\n", "{}\n"],
    "training/NAME/environment.json": ["null"],
    "decoding/NAME/hypotheses.tok": [None, ""],
    "decoding/NAME/hypotheses.txt": [None, "x\n"],
    "scoring/NAME/sentences.json": [None, "", "{}", '{"bleu_tok_lc": [1.0], "chrf": []}'],
}


@pytest.mark.slow
def test_a_missing_or_damaged_file_is_named_with_what_brings_it_back() -> None:
    run = make_run()
    name = run["run"]
    for file, contents in DAMAGES.items():
        path = Path("results", file.replace("NAME", name))
        whole, stage = path.read_bytes(), path.parts[1]
        for content in contents:
            path.unlink() if content is None else path.write_text(content, encoding="latin-1")
            with pytest.raises((Damaged, FileNotFoundError)) as error:
                report(run)
            sentence = advice(error.value)
            assert sentence.startswith(f"{path} ") and sentence.endswith(".") and "\n" not in sentence
            removed = f"results/runs/{name}" if stage == "runs" else f"results/{stage}/"
            assert f"; delete {removed}" in sentence and (stage == "runs" or f"target {stage}, and" in sentence)
            assert stage != "training" or f"delete results/training/{name}/seal.json," in sentence  # never the model
        path.write_bytes(whole)
    report(run)


def test_what_brings_a_file_back_is_executed(
    tiny_run: Path, tmp_path: Path, snakemake: Snakemake, fake_fairseq: dict[str, str]
) -> None:
    """A file of each stage is emptied; what its sentence says is deleted, and the last stage's target is made."""
    shutil.copytree(tiny_run / "results", tmp_path / "results", symlinks=True)
    command = ["scoring", "--config", "recipe=demo", f"overrides={TINY}"]
    names = ["corpus/*/raw/test.de", "text/*/tokenized/test.en", "training/*/metrics.jsonl"]
    names += ["decoding/*/hypotheses.tok", "scoring/*/sentences.json"]
    paths = [path for name in names for path in Path("results").glob(name)]
    before = {path: path.read_bytes() for path in paths}
    (checkpoint,) = Path("results").glob("training/*/checkpoint.pt")
    for path in paths:
        path.write_text("")
        removed = re.search(r"; delete (.*), run the same command with the target (\w+),", advice(Damaged(path)))
        assert removed is not None and removed[2] == path.parts[1]
        for word in removed[1].split(" and "):
            remove(Path(word))
        assert checkpoint.exists()
    result = snakemake(*command, env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    assert {path: path.read_bytes() for path in paths} == before and len(paths) == 5


@pytest.mark.parametrize("name", ["scores.json", "sentences.json"])
def test_a_run_is_not_gathered_without_its_scores(name: str) -> None:
    run = make_run()
    path, config = Path(run["stages"]["scoring"], name), read_config(run)
    for content in ("", "{}"):
        path.write_text(content)
        with pytest.raises(Damaged, match=f"{path} is empty or damaged"):
            gather(run | {"config": config}, {"words": [], "groups": {}})


def test_a_run_is_not_gathered_without_what_was_tuned() -> None:
    """The values that really decoded are in no other file."""
    run = make_run()
    config = read_config(run) | {"decoding": {"tune": {"beam": [4, 5]}}}
    with pytest.raises(FileNotFoundError, match=r"tuned\.json"):
        gather(run | {"config": config}, {"words": [], "groups": {}})


@pytest.mark.slow
def test_what_acts_on_a_terminal_or_page_is_shown_by_its_code() -> None:
    """Names and text that turn the reading direction, colour, or end a line."""
    acting = "\u202e\u2066\x1b]0;x\x07\x9b31m\r\u2028"
    lines = [f"{acting} {line}" for line in REFERENCES]
    runs = [
        make_run(model, overrides=[f"note={model}{acting}\n|"], references=lines, source=lines)
        for model in ("transformer", "lightconv")
    ]
    folder = report(*runs)
    for name in ("index.html", "scores.txt", "scores.md"):
        text = (folder / name).read_bytes().decode()
        assert not ACTING.search(text) and "⟨U+202E⟩⟨U+2066⟩⟨U+001B⟩]0;x⟨U+0007⟩⟨U+009B⟩31m" in text
    table = (folder / "scores.md").read_text().split("\n")[:4]
    assert all(row.count("|") - row.count("\\|") == 6 and row.startswith("|") and row.endswith("|") for row in table)
    packed = re.search(r'id="data">(.*?)</script>', (folder / "index.html").read_text())
    assert packed is not None
    data = gzip.decompress(base64.b64decode(packed[1])).decode()
    assert not ACTING.search(data) and "⟨U+202E⟩" in data
    assert json.loads((folder / "scores.json").read_text())[0]["overrides"] == runs[0]["overrides"]  # for scripts


def test_a_training_of_an_older_version_is_shown_all_the_same() -> None:
    run = make_run()
    Path(run["stages"]["training"], "environment.json").unlink()
    assert "transformer" in (report(run) / "index.html").read_text()


def test_the_gpu_is_named_as_fairseq_names_it() -> None:
    # fairseq's own format, fairseq/utils.py
    log = f"| rank {0:3d}: capabilities = {9:2d}.{0:<2d} ; total memory = {139.7:.3f} GB ; name = {'NVIDIA H200':40s}\n"
    assert device(log, {"processor": "A CPU"}) == "NVIDIA H200"


@pytest.mark.slow
def test_metrics_of_one_name_but_another_meaning_are_not_compared() -> None:
    other = METRICS | {"chrf": METRICS["chrf"] | {"lowercase": False}}
    folder = report(make_run(), make_run("lightconv", metrics=other))
    problems = {
        one["metric"]: one["problem"] for one in json.loads((folder / "comparison.json").read_text())["comparisons"]
    }
    assert problems == {"bleu_tok_lc": None, "chrf": "chrf is configured differently"}


@pytest.mark.slow
def test_test_pairs_in_train_are_said_wherever_the_scores_are() -> None:
    runs = [make_run(model, leaking=6) for model in ("transformer", "lightconv")]
    folder = report(*runs)
    sentence = "demo: 6 of 60 test pairs (10.00 %) are in train too, 6 of them character by character: "
    for name in ("scores.md", "scores.txt"):
        assert (folder / name).read_text().count(sentence) == 1  # the two share their text
    clean = report(make_run())
    assert not any("in train too" in (clean / name).read_text() for name in ("scores.md", "scores.txt", "index.html"))


def test_the_page_says_how_a_text_was_made() -> None:
    slice_ = {"source": "en", "target": "ja", "tokenizer": "none", "lowercase": False, "merges": 4000}
    assert steps(slice_) == "Made by: tokeniser none, case as it is, BPE (4,000 merges)."
    pieces = {"model_type": "unigram", "vocab_size": 8000}
    own = slice_ | {"tokenizer": {"source": "moses", "target": "none"}, "sentencepiece": pieces}
    assert steps(own | {"unicode_normalization": "NFC", "segmentations": 3, "lowercase": True}) == (
        "Made by: tokeniser moses for en and none for ja, lower case, Unicode form NFC, SentencePiece (unigram, 8,000 "
        "pieces), 3 segmentations."
    )
    assert steps(None) == ""


@pytest.mark.slow
def test_the_page_tells_what_cleaning_left_out_and_which_subwords_are_unknown() -> None:
    run = make_run()
    text = Path(run["stages"]["text"])
    assert "Cleaning" not in (report(run) / "index.html").read_text()  # a text of an older version
    checked, facts = (json.loads((text / name).read_text()) for name in ("checks.json", "fingerprint.json"))
    left_out = {"max_ratio": 300, "empty": 10}
    write_json(text / "checks.json", checked | {"cleaning": {"pairs": 1000, "left_out": left_out}})
    write_json(text / "fingerprint.json", facts | {"unknown": {"train.de": 0.0, "test.de": 0.023}})
    page = (report(run) / "index.html").read_text()
    assert '<p class="note">Cleaning kept 690 of 1,000 training pairs (69.0%). Left out, and why:</p>' in page
    assert "a side is empty</th><td>10</td><td>1.00%</td>" in page and "<td>300</td><td>30.00%</td>" in page
    unknown = "Subwords that the model&#39;s dictionaries lack: 2.30% of test.de; none of the other files."
    assert f'<p class="note">{unknown}</p>' in page
    write_json(text / "checks.json", checked | {"cleaning": {"pairs": 1000, "left_out": {}}})
    write_json(text / "fingerprint.json", facts | {"unknown": {"train.de": 0.0}})
    page = (report(run) / "index.html").read_text()
    assert "<p>Cleaning kept all 1,000 training pairs.</p>" in page
    assert "<p>The model&#39;s dictionaries have all subwords of all files.</p>" in page


@pytest.mark.slow
def test_seeds_with_the_same_verdict_share_a_sentence() -> None:
    expected = {"metric": "bleu_tok_lc", "low": 0.1, "high": 100.0, "source": "a paper", "changed": {}}
    runs = [make_run(seed=seed, expected=expected) for seed in (1, 2, 3)]
    low, *_, high = sorted(run["metrics"]["bleu_tok_lc"]["score"] for run in runs)
    folder = report(*runs)
    text = f"seeds 1, 2, 3: REPRODUCED, bleu_tok_lc {low:.2f}–{high:.2f}, published 0.1 to 100.0 (a paper)."
    for name in ("scores.txt", "scores.md", "index.html"):
        assert (folder / name).read_text().count(text) == 1
    page = (folder / "index.html").read_text()
    assert "No published score" not in page
    page = (report(make_run(expected=expected)) / "index.html").read_text()
    assert "demo-transformer-seed1: REPRODUCED, bleu_tok_lc" in page


def test_speed_is_smoothed_and_numbers_are_plain() -> None:
    values = [1000.0, 3000.0] * 50
    means = figures.smoothed(values)
    assert len(means) == 100 and max(means) - min(means) < 700 and means[50] == pytest.approx(2000, abs=100)
    assert figures.smoothed([5.0]) == [5.0] and figures.smoothed([]) == []
    shown = {0: "0", 0.00005: "0.00005", 6.9: "6.9", 41.4567: "41.46", 0.9130: "0.913", 31904.4: "31,904", -0.5: "-0.5"}
    assert {value: figures.plain(value) for value in shown} == shown


def test_a_long_label_of_a_figure_stands_in_several_lines_for_which_there_is_room() -> None:
    run = make_run()
    words = ["corpus.translated.side=target", "corpus.translated.share=[0.3333,1]", "corpus.translated.tag=BT"]
    drawn = [[Group(label, (), (run,))] for label in ("transformer", " ".join(words))]
    short, long = (figures.scores(one, figures.styles(one), "chrf", "chrF") for one in drawn)
    assert short.layout.yaxis.ticktext == ("transformer",)
    (label,) = long.layout.yaxis.ticktext
    assert re.sub(" |<br>", "", label) == "".join(words) and max(map(len, label.split("<br>"))) <= figures.LABEL
    assert long.layout.height > short.layout.height


@pytest.mark.slow
def test_a_text_without_checks_is_shown_all_the_same() -> None:
    run = make_run(leaking=6)
    Path(run["stages"]["text"], "checks.json").unlink()
    page = (report(run) / "index.html").read_text()
    assert "transformer" in page and 'id="text"' not in page and "#text" not in page


OWN: dict[str, dict[str, Any]] = {  # of a target without spaces between words
    "bleu": {"metric": "bleu", "text": "detokenised", "lowercase": False, "tokenize": "char"},
    "chrf": {"metric": "chrf", "text": "detokenised", "lowercase": False, "tokenize": None},
    "chrfpp": {"metric": "chrf++", "text": "detokenised", "lowercase": False, "tokenize": None},
    "ter": {"metric": "ter", "text": "detokenised", "lowercase": True, "tokenize": None},
}


@pytest.mark.slow
def test_a_bleu_by_characters_is_called_so_and_ranks_nothing() -> None:
    own = {name: metric for name, metric in OWN.items() if name != "ter"}
    runs = [
        make_run(model, 1, noisy(REFERENCES, share, 1), metrics=own, recipe="a_recipe_with_a_long_name")
        for model, share in (("a", 0.4), ("b", 0.1))
    ]
    folder = report(*runs)
    why = "Ranked by chrf: bleu counts characters here, not words."
    text, page = ((folder / name).read_text() for name in ("scores.txt", "index.html"))
    head = text.split("\n")[:3]
    assert [line.split() for line in head[:2]] == [
        ["run", "chrf", "bleu", "chrfpp", "BP", "len"],
        ["(characters)"],
    ]
    assert f"Test set: demo, 60 sentences. {why}" in text and "b against a, chrf: this model is better" in text
    assert max(map(len, text.partition("Test set")[0].splitlines())) <= 80
    table = (folder / "scores.md").read_text()
    assert table.startswith("| group   | seeds   | chrf ") and "| bleu (characters) " in table and why in table
    assert "<h1>b has the best chrf of 2 groups;" in page and f"form a group. {why}" in page
    assert "bleu (characters): BLEU by characters of the detokenised text; higher is better" in page
    assert "chrfpp: chrF++ of the detokenised text; higher is better" in page
    assert "<option>chrf</option><option>bleu (characters)</option>" in page
    assert ["b against a, bleu (characters): this model is better" in page, "Output length" in page] == [True, True]
    assert [*json.loads((folder / "scores.json").read_text())[0]["metrics"]] == [*own]  # names for scripts stay
    one = report(runs[0])
    assert f"Test set: demo, 60 sentences. {why}" in (one / "scores.txt").read_text()
    assert "<h1>a: chrf " in (one / "index.html").read_text()


@pytest.mark.slow
def test_the_first_bleu_ranks_wherever_it_stands() -> None:
    metrics = {"a_chrf": METRICS["chrf"], "a_ter": OWN["ter"]} | METRICS
    runs = [
        make_run(model, 1, noisy(REFERENCES, share, 1), metrics=metrics) for model, share in (("a", 0.4), ("b", 0.1))
    ]
    assert "Ranked by bleu_tok_lc, the first BLEU." in (report(*runs) / "scores.txt").read_text()
    alone = [make_run(model, metrics={"ter": OWN["ter"]}) for model in "ab"]
    assert "Ranked by ter: the config has no BLEU." in (report(*alone) / "scores.txt").read_text()
    assert "Ranked" not in (report(make_run()) / "scores.txt").read_text()
