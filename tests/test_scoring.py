"""Scores equal sacrebleu's own, with its signatures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.schema import Experiment
from bleuprint.files import DataError
from bleuprint.plan.choices import left_out
from bleuprint.scoring import languages
from bleuprint.scoring.languages import with_tokenizers
from bleuprint.scoring.metrics import score, sentence_scores

HYPOTHESES = ["the cat sat on the mat .", "It 's a Dog ."]
REFERENCES = ["The cat sat on the mat .", "it 's a small dog ."]


def chosen(words: str = "") -> Experiment:
    """Return the default experiment, or one of own text, with a tokeniser in place of each `auto`."""
    local = f"corpus=local text=iwslt14 scoring=bleu_chrf corpus.train=x {words}" if words else ""
    (choice,) = experiments({"overrides": local})
    return with_tokenizers(choice.experiment)


def metrics() -> dict[str, dict[str, Any]]:
    return {name: metric.model_dump() for name, metric in chosen().scoring.metrics.items()}


@pytest.mark.parametrize("name", ["chrf", "bleu", "ter"])
def test_resamples_without_any_text_are_scored(name: str) -> None:
    """sacrebleu's own mean of the resamples fails here."""
    metric = {"metric": name, "lowercase": True, "tokenize": None}
    row = score(metric, ["", "the cat sat down"], ["", "the cat sat down"], 100)
    assert row["score"] == pytest.approx(0 if name == "ter" else 100)


def test_each_metric_is_sacrebleus() -> None:
    found = {name: score(metric, HYPOTHESES, REFERENCES, 200) for name, metric in metrics().items()}
    tokens = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], lowercase=True, tokenize="none", force=True)
    assert found["bleu_tok_lc"]["score"] == tokens.score
    assert found["sacrebleu_lc"]["score"] == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], lowercase=True).score
    lowered = [[line.lower() for line in lines] for lines in (HYPOTHESES, REFERENCES)]
    assert found["chrf"]["score"] == pytest.approx(sacrebleu.corpus_chrf(lowered[0], [lowered[1]]).score)
    assert "case:lc" in found["bleu_tok_lc"]["signature"] and "tok:none" in found["bleu_tok_lc"]["signature"]
    assert "tok:13a" in found["sacrebleu_lc"]["signature"]
    assert found["bleu_tok_lc"]["brevity_penalty"] == tokens.bp < 1
    assert found["bleu_tok_lc"]["length_ratio"] == 12 / 13


def test_the_interval_is_sacrebleus() -> None:
    lines = [f"{number} the cat sat on the mat" for number in range(40)]
    hypotheses = [line if number % 3 else line[:-4] for number, line in enumerate(lines)]
    found = score(metrics()["bleu_tok_lc"], hypotheses, lines, 300)
    bleu = sacrebleu.BLEU(lowercase=True, tokenize="none", force=True)
    text = bleu.corpus_score(hypotheses, [lines], n_bootstrap=300).format(width=4)
    assert f"μ = {found['mean']:.4f} ± {found['ci']:.4f}" in text
    assert found["ci"] > 0 and "bs:300|seed:12345" in found["signature"]
    nothing = score(metrics()["bleu_tok_lc"], ["a"], ["b"], 100)
    assert (nothing["score"], nothing["mean"], nothing["ci"]) == (0, 0, 0)


def test_sentence_scores_are_sacrebleus() -> None:
    found = {name: sentence_scores(metric, HYPOTHESES, REFERENCES) for name, metric in metrics().items()}
    for hypothesis, reference, ours in zip(HYPOTHESES, REFERENCES, found["bleu_tok_lc"], strict=True):
        theirs = sacrebleu.sentence_bleu(hypothesis, [reference], lowercase=True, tokenize="none")
        assert ours == round(theirs.score, 2)
    lowered = sacrebleu.sentence_chrf(HYPOTHESES[1].lower(), [REFERENCES[1].lower()])
    assert found["chrf"][1] == round(lowered.score, 2)


def test_ter_and_case() -> None:
    metric = {"metric": "ter", "text": "tokens", "lowercase": False, "tokenize": None}
    assert score(metric, REFERENCES, REFERENCES, 100)["score"] == 0
    assert (
        score(metric, HYPOTHESES, REFERENCES, 100)["score"]
        > score(metric | {"lowercase": True}, HYPOTHESES, REFERENCES, 100)["score"]
    )


def test_counts_must_agree() -> None:
    for hypotheses, references in ((HYPOTHESES, REFERENCES[:1]), ([], [])):
        with pytest.raises(DataError, match="cannot be scored"):
            score(metrics()["chrf"], hypotheses, references, 100)


def test_the_command_writes_scores_and_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({"metrics": metrics(), "resamples": 100}))
    (tmp_path / "hyp").write_text("".join(f"{line}\n" for line in HYPOTHESES))
    (tmp_path / "ref").write_text("".join(f"{line}\n" for line in REFERENCES))
    (tmp_path / "short").write_text("one\n")

    def run(reference: str) -> subprocess.CompletedProcess[str]:
        arguments = f"--config config.yaml --tokens hyp {reference} --detokenised hyp ref"
        arguments += " --output scores.json --sentences sentences.json"
        command = [sys.executable, "-m", "bleuprint.scoring", *arguments.split()]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert run("ref").returncode == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["sentences"] == 2
    assert set(scores["metrics"]) == {"bleu_tok_lc", "sacrebleu_lc", "chrf"}
    sentences = json.loads((tmp_path / "sentences.json").read_text())
    assert {name: len(column) for name, column in sentences.items()} == dict.fromkeys(scores["metrics"], 2)
    refused = run("short")
    assert refused.returncode == 1
    assert refused.stderr == "bleuprint: 2 hypotheses cannot be scored against 1 references.\n"


@pytest.mark.parametrize(
    ("target", "tokenizer"),
    [("en", "13a"), ("fr_CA", "13a"), ("zh", "zh"), ("zho_Hans", "zh"), ("th", "char"), ("mya", "char")],
)
def test_the_tokeniser_suits_the_target(target: str, tokenizer: str) -> None:
    metrics = chosen(f"target={target} source=xx").scoring.metrics
    assert metrics["sacrebleu_lc"].tokenize == tokenizer
    # Moses' tokens of a text without spaces are no words, unless the text came tokenised
    assert ("bleu_tok_lc" in metrics) is (tokenizer == "13a")
    assert "bleu_tok_lc" in chosen(f"target={target} source=xx text.tokenizer=none").scoring.metrics


def test_a_metric_that_does_not_suit_the_target_is_named() -> None:
    for target, note in (("zh", "no bleu_tok_lc: Moses' tokens of zh are no words"), ("en", None)):
        words = f"corpus=local corpus.train=x text=iwslt14 scoring=bleu_chrf source=xx target={target}"
        (choice,) = experiments({"overrides": words})
        assert left_out(choice.experiment) == note


def test_perfect_chinese_scores_100() -> None:
    """For 13a a sentence without spaces is one token, so that there is no four-gram to match."""
    lines = ["有人提议应将其头衔改为议员", "整个政坛担心这会惹来嘲笑"] * 5
    metric = chosen("target=zh source=en").scoring.metrics["sacrebleu_lc"].model_dump()
    assert score(metric, lines, lines, 100)["score"] == pytest.approx(100)
    assert score(metric | {"tokenize": "13a"}, lines, lines, 100)["score"] < 100


def test_a_tokeniser_that_is_not_installed_is_named_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "find_spec", lambda module: None if module in ("MeCab", "mecab_ko") else module)
    for target, extra in (("ja", "ja"), ("kor", "ko")):
        with pytest.raises(
            ConfigError, match=rf'pip install "sacrebleu\[{extra}\]==[0-9.]+", or set (\S+=char)'
        ) as error:
            chosen(f"target={target} source=en")
        word = str(error.value).rpartition(" ")[2]
        assert chosen(f"target={target} source=en {word}").scoring.metrics["sacrebleu_lc"].tokenize == "char"
    monkeypatch.setattr(languages, "find_spec", lambda module: module)
    assert chosen("target=ja source=en").scoring.metrics["sacrebleu_lc"].tokenize == "ja-mecab"


def test_a_metric_has_to_be_left() -> None:
    words = "target=th source=en ~scoring.metrics.chrf ~scoring.metrics.sacrebleu_lc"
    with pytest.raises(ConfigError, match="no metric suits th, whose words are not separated by spaces"):
        chosen(words)
