"""Text that another run's model translates for a training: its place in the plan, and what decides it."""

from pathlib import Path
from typing import Any

import pytest

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.corpus.to_translate import main as write_text
from bleuprint.corpus.to_translate import text
from bleuprint.files import DataError
from bleuprint.plan.explain import explain
from bleuprint.plan.graph import Plan
from bleuprint.plan.how import fetch_test, tokenise
from bleuprint.plan.keys import plan
from bleuprint.plan.portable import portable

REVERSE = "corpus.translated.by=[recipe=demo,source=en,target=de] corpus.translated.side=target"


def planned(overrides: str, **cli: Any) -> Plan:
    return plan(experiments({"recipe": "demo", "overrides": overrides, **cli}))


def keys(overrides: str) -> dict[str, str]:
    (run,) = planned(overrides).runs
    return run.keys


def test_the_other_model_and_its_translation_are_stages_of_the_same_plan() -> None:
    made = planned(REVERSE)
    (run,) = made.runs
    reverse = planned("", source="en", target="de").runs[0]
    stages = [stage for stage, _ in run.ancestors]
    assert stages == ["text", "training", "testset", "decoding"]
    assert ("training", reverse.keys["training"]) in run.ancestors
    assert run.keys["corpus"] == reverse.keys["corpus"]
    decoding, testset = dict(run.ancestors)["decoding"], dict(run.ancestors)["testset"]
    raw, hypotheses = f"results/testset/{testset}/raw/test.en", f"results/decoding/{decoding}/hypotheses.txt"
    assert tokenise(made, run.keys["text"])["made"] == f"--made {hypotheses} {raw}"
    assert fetch_test(made, testset)["program"].startswith(
        f"to_translate results/corpus/{run.keys['corpus']}/raw/train.en "
    )
    assert [member["role"] for member in run.family] == ["text translated by"]
    assert run.family[0]["folder"] == f"results/training/{reverse.keys['training']}"


def test_the_table_of_explain_shows_which_of_the_other_models_stages_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header, _, run, translator, *_ = explain(planned(REVERSE)).splitlines()
    assert header.split()[1:] == ["corpus", "text", "training", "decoding", "scoring"]
    assert run.split()[1:] == ["computed"] * 5
    assert translator.startswith("└ text translated by") and translator.split()[-4:] == ["computed"] * 4


def test_what_is_genuine_decides_the_order_of_the_sides() -> None:
    made = planned("corpus.translated.by=[recipe=demo,seed=7] corpus.translated.side=source")
    (run,) = made.runs
    source, target = tokenise(made, run.keys["text"])["made"].split()[1:]
    assert source.endswith("raw/test.de") and target.endswith("hypotheses.txt")


def test_what_makes_the_pairs_decides_the_text_and_what_uses_them_does_not_decide_the_translation() -> None:
    plain = planned(REVERSE)
    texts = {plain.runs[0].keys["text"]}
    for change in ("copies=2", "ratio=0.5", "tag=BT", "noise={drop:0.2}"):
        other = planned(f"{REVERSE} corpus.translated.{change}")
        texts.add(other.runs[0].keys["text"])
        assert set(plain.stages["testset"]) == set(other.stages["testset"])
        assert dict(plain.runs[0].ancestors)["decoding"] == dict(other.runs[0].ancestors)["decoding"]
    for change in ("corpus.translated.share=[0,0.5]", "corpus.share=[0,0.5]"):
        texts.add(keys(f"{REVERSE} {change}")["text"])
    texts.add(keys(REVERSE.replace("target=de]", "target=de,decoding.beam=2]"))["text"])
    assert len(texts) == 8


def test_text_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"a": "x\n", "b": "x\n", "c": "y\n"}.items():
        Path(f"{name}.en").write_text(content)
    made = [keys(f"{REVERSE} corpus.translated.text={name}")["text"] for name in "abc"]
    assert made[0] == made[1] != made[2]
    several = planned(f"{REVERSE} corpus.translated.text=[a,c]")
    (testset,) = several.stages["testset"]
    assert fetch_test(several, testset)["program"].startswith("to_translate a.en c.en --source en")
    with pytest.raises(DataError, match=r"no\.en: no such file"):
        keys(f"{REVERSE} corpus.translated.text=no")


def test_wrong_words_end_in_a_sentence() -> None:
    wrong = {
        REVERSE.replace(",source=en,target=de", ""): "translates de to en, and corpus.translated.side=target needs en",
        REVERSE.replace("side=target", "side=left"): "translated.side=left: input should be 'source' or 'target'",
        f"{REVERSE} corpus.translated.share=[0.5,0.2]": "must begin before it ends",
        f"{REVERSE} corpus.translated.copies=0 corpus.translated.ratio=1": "copies=0 leaves them out",
        REVERSE.replace("demo,", "demo,seed=range(1,3),"): "asks for 2 runs; name one",
        "corpus.translated.by=no-such-run corpus.translated.side=target": "corpus.translated.by=no-such-run",
        f"{REVERSE} corpus.translated.tag=BT training.start_from=[recipe=demo,seed=3]": "has no subword for its words",
        "text.bidirectional=true": "needs one dictionary for both languages; set text=joined",
    }
    for overrides, sentence in wrong.items():
        with pytest.raises(ConfigError) as refused:
            planned(overrides)
        assert sentence in str(refused.value)


def test_words_of_a_replay_relocate_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.en").write_text("x\n")
    (run,) = planned(f"{REVERSE} corpus.translated.text=a").runs
    words = portable(run.choice, tmp_path)
    assert f"corpus.translated.text={tmp_path}/a" in words
    monkeypatch.chdir("/")
    assert plan(experiments({"overrides": words})).runs[0].name == run.name


def test_text_to_translate_is_a_test_set_without_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.en").write_text("1\n2\n\n")
    (tmp_path / "b.en").write_text("4\n")
    files = [str(tmp_path / name) for name in ("a.en", "b.en")]
    output = ["--output", str(tmp_path / "raw")]
    words = ["to_translate", *files, "--share", "0.25", "1", "--source", "en", "--target", "de", *output]
    monkeypatch.setattr("sys.argv", words)
    write_text()
    assert (tmp_path / "raw/test.en").read_text() == "2\n\n4\n"
    assert (tmp_path / "raw/test.de").read_text() == "\n\n\n"
    with pytest.raises(DataError, match=r"no text to translate; check corpus\.translated\.text"):
        text([tmp_path / "a.en"], (0.7, 1))
