"""Scores equal sacrebleu's own, with its signatures."""

import gzip
import json
import os
import random
import subprocess
import sys
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import sacrebleu
import sentencepiece
from conftest import ROOT
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.tokenizers import tokenizer_spm

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.schema import Experiment
from bleuprint.files import DataError, write_lines
from bleuprint.plan.choices import notes
from bleuprint.scoring import languages, reference_files, spbleu
from bleuprint.scoring.languages import with_tokenizers
from bleuprint.scoring.metrics import METRICS, headline, score

HYPOTHESES = ["the cat sat on the mat .", "It 's a Dog ."]
REFERENCES = ["The cat sat on the mat .", "it 's a small dog ."]


def chosen(words: str = "") -> Experiment:
    """Return the default experiment, or one of own text, with a tokeniser in place of each `auto`."""
    local = f"corpus=local text=iwslt14 scoring=bleu_chrf corpus.train=x {words}" if words else ""
    (choice,) = experiments({"overrides": local})
    return with_tokenizers(choice.experiment)


def metrics() -> dict[str, dict[str, Any]]:
    return {name: metric.model_dump() for name, metric in chosen().scoring.metrics.items()}


@pytest.mark.parametrize("name", ["chrf", "chrf++", "bleu", "ter"])
def test_resamples_without_any_text_are_scored(name: str) -> None:
    """sacrebleu's own mean of the resamples fails here."""
    metric = {"metric": name, "lowercase": True, "tokenize": None}
    row, _ = score(metric, ["", "the cat sat down"], [["", "the cat sat down"]], 100)
    assert row["score"] == pytest.approx(0 if name == "ter" else 100)


def test_each_metric_is_sacrebleus() -> None:
    found = {name: score(metric, HYPOTHESES, [REFERENCES], 200)[0] for name, metric in metrics().items()}
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
    found, _ = score(metrics()["bleu_tok_lc"], hypotheses, [lines], 300)
    bleu = sacrebleu.BLEU(lowercase=True, tokenize="none", force=True)
    text = bleu.corpus_score(hypotheses, [lines], n_bootstrap=300).format(width=4)
    assert f"μ = {found['mean']:.4f} ± {found['ci']:.4f}" in text
    assert found["ci"] > 0 and "bs:300|seed:12345" in found["signature"]
    nothing, _ = score(metrics()["bleu_tok_lc"], ["a"], [["b"]], 100)
    assert (nothing["score"], nothing["mean"], nothing["ci"]) == (0, 0, 0)


def test_sentence_scores_are_sacrebleus() -> None:
    found = {name: score(metric, HYPOTHESES, [REFERENCES], 100)[1] for name, metric in metrics().items()}
    for hypothesis, reference, ours in zip(HYPOTHESES, REFERENCES, found["bleu_tok_lc"], strict=True):
        theirs = sacrebleu.sentence_bleu(hypothesis, [reference], lowercase=True, tokenize="none")
        assert ours == round(theirs.score, 2)
    lowered = sacrebleu.sentence_chrf(HYPOTHESES[1].lower(), [REFERENCES[1].lower()])
    assert found["chrf"][1] == round(lowered.score, 2)


def test_ter_and_case() -> None:
    metric = {"metric": "ter", "text": "tokens", "lowercase": False, "tokenize": None}
    assert score(metric, REFERENCES, [REFERENCES], 100)[0]["score"] == 0
    cased, lowered = (score(metric | {"lowercase": lower}, HYPOTHESES, [REFERENCES], 100)[0] for lower in (False, True))
    assert cased["score"] > lowered["score"]


def test_counts_must_agree() -> None:
    for hypotheses, references in ((HYPOTHESES, [REFERENCES[:1]]), (HYPOTHESES, [REFERENCES, []]), ([], [[]])):
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
    [
        ("en", "13a"),
        ("fr_CA", "13a"),
        ("zh", "zh"),
        ("zho_Hans", "zh"),
        ("th", "char"),
        ("mya", "char"),
        ("bo", "char"),
    ],
)
def test_the_tokeniser_suits_the_target(target: str, tokenizer: str) -> None:
    metrics = chosen(f"target={target} source=xx").scoring.metrics
    assert metrics["sacrebleu_lc"].tokenize == tokenizer
    # Moses' tokens of a text without spaces are no words, unless the text came tokenised
    assert ("bleu_tok_lc" in metrics) is (tokenizer == "13a")
    assert "bleu_tok_lc" in chosen(f"target={target} source=xx text.tokenizer=none").scoring.metrics


def test_a_metric_that_does_not_suit_the_target_is_named() -> None:
    for target, note in (("zh", "no bleu_tok_lc: words of zh are not separated by spaces"), ("en", None)):
        words = f"corpus=local corpus.train=x text=iwslt14 scoring=bleu_chrf source=xx target={target}"
        (choice,) = experiments({"overrides": words})
        assert dict(notes(choice)).get("scoring") == note


def test_perfect_chinese_scores_100() -> None:
    """For 13a a sentence without spaces is one token, so that there is no four-gram to match."""
    lines = ["有人提议应将其头衔改为议员", "整个政坛担心这会惹来嘲笑"] * 5
    metric = chosen("target=zh source=en").scoring.metrics["sacrebleu_lc"].model_dump()
    assert score(metric, lines, [lines], 100)[0]["score"] == pytest.approx(100)
    assert score(metric | {"tokenize": "13a"}, lines, [lines], 100)[0]["score"] < 100


def test_a_tokeniser_that_is_not_installed_is_named_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "find_spec", lambda module: None if module in ("MeCab", "mecab_ko") else module)
    for target in ("ja", "kor"):
        with pytest.raises(ConfigError, match=r"run make env again, which .*, or set (\S+=char)") as error:
            chosen(f"target={target} source=en")
        word = str(error.value).rpartition(" ")[2]
        assert chosen(f"target={target} source=en {word}").scoring.metrics["sacrebleu_lc"].tokenize == "char"
    monkeypatch.setattr(languages, "find_spec", lambda module: module)
    assert chosen("target=ja source=en").scoring.metrics["sacrebleu_lc"].tokenize == "ja-mecab"


def test_a_metric_has_to_be_left() -> None:
    words = "target=th source=en ~scoring.metrics.chrf ~scoring.metrics.sacrebleu_lc"
    with pytest.raises(ConfigError, match="no metric suits th, whose words are not separated by spaces"):
        chosen(words)


@cache
def own_text(words: str) -> Experiment:
    (choice,) = experiments({"overrides": f"corpus=local corpus.train=x source=xx {words}"})
    return choice.experiment


def of_own_text(target: str, words: str = "") -> dict[str, dict[str, Any]]:
    """The metrics that own text gets."""
    suited = with_tokenizers(own_text(words).model_copy(update={"target": target}))
    return {name: metric.model_dump() for name, metric in suited.scoring.metrics.items()}


def corrupted(lines: list[str], seed: int) -> list[str]:
    """Lines with words (or characters, where there are no spaces) dropped, swapped and lower-cased."""
    draw = random.Random(seed)
    damaged = []
    for line in lines:
        words = line.split(" ") if line.count(" ") > 2 else list(line)
        kept = [word.lower() if draw.random() < 0.1 else word for word in words if draw.random() > 0.1]
        for place in range(len(kept) - 1):
            if draw.random() < 0.1:
                kept[place : place + 2] = reversed(kept[place : place + 2])
        damaged.append((" " if words != list(line) else "").join(kept))
    return damaged


FLORES = {  # file → target, and what sacrebleu's command line calls it
    "arb_Arab": "ar",
    "deu_Latn": "de",
    "eng_Latn": "en",
    "fra_Latn": "fr",
    "heb_Hebr": "he",
    "hin_Deva": "hi",
    "jpn_Jpan": "ja",
    "kor_Hang": "ko",
    "rus_Cyrl": "ru",
    "tur_Latn": "tr",
    "vie_Latn": "vi",
    "zho_Hans": "zh",
}


def flores(data: Path, name: str, sentences: int = 20) -> list[str]:
    with gzip.open(data / f"flores200_devtest/{name}.gz", "rt", encoding="utf-8") as file:
        return file.read().split("\n")[:sentences]


@pytest.mark.parametrize("name", FLORES)
def test_any_language_scores_what_sacrebleu_scores(name: str, data: Path) -> None:
    """sacrebleu chooses the tokeniser by the language here, and bleuprint by the config's `auto`."""
    references, target = flores(data, name), FLORES[name]
    hypotheses, metrics = corrupted(references, 1), of_own_text(name)
    sacrebleus = {"bleu": BLEU(trg_lang=target), "chrf": CHRF(), "chrfpp": CHRF(word_order=2), "ter": TER()}
    assert list(metrics) == [key for key in sacrebleus if key != "ter" or target not in ("ja", "zh")]
    for key, metric in metrics.items():
        row, _ = score(metric, hypotheses, [references], 10)
        theirs = sacrebleus[key].corpus_score(hypotheses, [references]).score
        assert row["score"] == pytest.approx(theirs, abs=1e-9) and 5 < row["score"] < 95
        row, sentences = score(metric, references, [references], 10)
        best = 0 if key == "ter" else 100
        assert row["score"] == pytest.approx(best) and set(sentences) == {best}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deu_Latn", "zho_Hans"])
def test_sacrebleus_command_line_gives_the_same_also_of_two_references(name: str, data: Path, tmp_path: Path) -> None:
    references = [flores(data, name), corrupted(flores(data, name), 2)]
    hypotheses = corrupted(references[0], 1)
    for file, lines in (("hyp", hypotheses), ("ref", references[0]), ("ref.1", references[1])):
        write_lines(tmp_path / file, lines)
    command = f"-m sacrebleu ref ref.1 -i hyp -l en-{FLORES[name]} -m bleu chrf ter --chrf-word-order 2 -w 4 -f json"
    theirs = subprocess.run([sys.executable, *command.split()], cwd=tmp_path, capture_output=True, check=True)
    bleu, chrfpp, ter = (row["score"] for row in json.loads(theirs.stdout))
    (tmp_path / "config.yaml").write_text(json.dumps({"metrics": of_own_text(name), "resamples": 100}))
    arguments = "--config config.yaml --tokens hyp ref --detokenised hyp ref --output scores.json --sentences s.json"
    subprocess.run([sys.executable, "-m", "bleuprint.scoring", *arguments.split()], cwd=tmp_path, check=True)
    ours = json.loads((tmp_path / "scores.json").read_text())["metrics"]
    assert [round(ours["bleu"]["score"], 4), round(ours["chrfpp"]["score"], 4)] == [bleu, chrfpp]
    assert "ter" not in ours or round(ours["ter"]["score"], 4) == ter
    assert "nrefs:2" in ours["bleu"]["signature"]


def test_a_reference_more_can_only_help() -> None:
    for metric in [name for name, kind in METRICS.items() if not kind.by_model]:
        entry = {"metric": metric, "text": "tokens", "lowercase": False, "tokenize": None}
        (one, singles), (two, both) = (
            score(entry, HYPOTHESES, lists, 100) for lists in ([REFERENCES], [REFERENCES, HYPOTHESES])
        )
        best = 0 if metric == "ter" else 100
        assert two["score"] == pytest.approx(best) != pytest.approx(one["score"]) and both == [best] * 2 != singles


def test_further_references_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("test.en", "test.en.10", "test.en.1", "test.en.2", "test.en.gz", "test.en_GB.1"):
        (tmp_path / name).touch()
    names = [path.name for path in reference_files(tmp_path / "test.en")]
    assert names == ["test.en", "test.en.1", "test.en.2", "test.en.10"]


@pytest.mark.parametrize(
    ("target", "words", "ranks"),
    [
        ("de", "", "bleu"),
        ("ja", "", "bleu"),
        ("th", "", "chrf"),
        ("khm", "", "chrf"),
        ("lo", "~scoring.metrics.chrf", "bleu"),
        ("my", "+scoring.metrics.spbleu={metric:bleu,text:detokenised,lowercase:false,tokenize:flores200}", "spbleu"),
        ("en", "text=iwslt14 scoring=bleu_chrf", "bleu_tok_lc"),
        ("th", "text=iwslt14 scoring=bleu_chrf", "chrf"),
    ],
)
def test_the_metric_that_ranks_suits_the_target(target: str, words: str, ranks: str) -> None:
    assert headline(of_own_text(target, words)) == ranks


def test_ter_is_not_given_where_words_are_not_separated() -> None:
    assert "ter" in of_own_text("ko") and "ter" not in of_own_text("mya")
    assert "ter" in of_own_text("zho_Latn")
    (choice,) = experiments({"overrides": "corpus=local corpus.train=x source=en target=th"})
    assert dict(notes(choice))["scoring"] == "no ter: words of th are not separated by spaces"


# spBLEU

SPBLEU = {"metric": "bleu", "text": "detokenised", "lowercase": False, "tokenize": "flores200"}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A little SentencePiece model; sacrebleu's cache is empty, and nobody listens where it downloads from."""
    write_lines(tmp_path / "text", REFERENCES * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "little"), vocab_size=20, minloglevel=2
    )
    for module in (sacrebleu.utils, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(tokenizer_spm.SPM_MODELS["flores200"], "url", "http://127.0.0.1:9/flores200sacrebleuspm")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return (tmp_path / "little.model").read_bytes()


def test_spbleu_takes_its_model_from_the_mirror(model: bytes, tmp_path: Path) -> None:
    mirror, cached = tmp_path / "mirror", tmp_path / "cache/models/flores200sacrebleuspm"
    mirror.mkdir()
    (mirror / cached.name).write_bytes(model)
    spbleu.provide_model(mirror)
    assert cached.read_bytes() == model
    row, _ = score(SPBLEU, HYPOTHESES, [REFERENCES], 100)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens = [[" ".join(pieces.encode(line, out_type=str)) for line in lines] for lines in (HYPOTHESES, REFERENCES)]
    assert row["score"] == sacrebleu.corpus_bleu(tokens[0], [tokens[1]], tokenize="none", force=True).score
    assert "tok:flores200" in row["signature"]
    cached.write_bytes(b"cut")
    with pytest.raises(DataError, match=f"{cached} is no SentencePiece model; delete it and run the same command"):
        score(SPBLEU, HYPOTHESES, [REFERENCES], 100)


def test_spbleus_model_is_downloaded_or_named_with_the_way_out(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way_out = r"so put it as flores200sacrebleuspm into a folder and set overrides=\"runtime.mirror=FOLDER\""
    with pytest.raises(DataError, match=f"flores200sacrebleuspm: no connection; tokenize=flores200 .*{way_out}"):
        score(SPBLEU, HYPOTHESES, [REFERENCES], 100)
    answers = [b"<html>log in first</html>", model]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers.pop(0))

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/flores200sacrebleuspm"
        monkeypatch.setitem(tokenizer_spm.SPM_MODELS["flores200"], "url", url)
        with pytest.raises(DataError, match=f"no SentencePiece model; .*{way_out}"):
            spbleu.provide_model()
        assert not (tmp_path / "cache").exists()
        spbleu.provide_model()
        server.shutdown()
    assert [path.read_bytes() for path in (tmp_path / "cache/models").iterdir()] == [model]


def test_the_command_ends_in_one_sentence_without_spbleus_model(tmp_path: Path) -> None:
    for name, lines in (("hyp", HYPOTHESES), ("ref", REFERENCES)):
        write_lines(tmp_path / name, lines)
    (tmp_path / "config.yaml").write_text(json.dumps({"metrics": {"spbleu": SPBLEU}, "resamples": 100}))
    arguments = "--config config.yaml --tokens hyp ref --detokenised hyp ref --output scores.json --sentences s.json"
    offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    result = subprocess.run(
        [sys.executable, "-m", "bleuprint.scoring", *arguments.split()],
        cwd=tmp_path,
        env=os.environ | offline | {"SACREBLEU": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "no connection; tokenize=flores200 (spBLEU) needs it" in result.stderr
