"""Segmenters: what they make of text is undone alike everywhere, and flags, texts and scores follow from them."""

import gzip
import importlib
import itertools
import random
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch
from conftest import CPU, ROOT, Snakemake
from fairseq_process import without_bpe
from test_translate import alone
from ways_out import accept, in_a_folder, key, refusal

from bleuprint.commands import export, translate
from bleuprint.commands.trained import Trained, trained
from bleuprint.commands.translate import Text
from bleuprint.config.compose import Choice, experiments
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding import ctranslate
from bleuprint.decoding.hypotheses import hypotheses, write
from bleuprint.files import DataError, read_lines, write_lines
from bleuprint.plan.keys import plan
from bleuprint.scoring import in_form
from bleuprint.text import pieces
from bleuprint.text.learn_sentencepiece import learn
from bleuprint.text.segmenters import module
from bleuprint.text.tokenise import prepare

assert in_a_folder  # a fixture
sys.path.append(str(ROOT / "bench"))
ceilings = importlib.import_module("ceilings")
SETTINGS = {
    "vocab_size": 400,
    "model_type": "unigram",
    "character_coverage": 0.9995,
    "byte_fallback": False,
    "normalization_rule_name": "identity",
}
PEOPLE = {"猫": "cat", "犬": "dog", "先生": "teacher", "子ども": "child"}
THINGS = {"魚": "fish", "本": "book", "お茶": "tea", "手紙": "letter", "花": "flower"}
PLACES = {"庭": "garden", "駅": "station", "学校": "school"}
# Text that looks like a mark of a segmenter or a symbol of fairseq
ODD = ["<pad>", "a <s> b</s>", "<unk> <unk>", "x@@ y", "@@", "100 % <0x", "\u2047 \u2585", "ZZZ", ""]


def pairs(number: int) -> list[tuple[str, str]]:
    """Made-up English sentences and their Japanese translations, each once."""
    made_up = [
        (f"At {hour} the {person} has a {thing} in the {place}.", f"{hour}時に{who}は{where}で{what}を持っている。")
        for (who, person), (what, thing), (where, place), hour in itertools.product(
            PEOPLE.items(), THINGS.items(), PLACES.items(), range(1, 12)
        )
    ]
    return random.Random(3).sample(made_up, number)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of English and Japanese lines."""
    path = tmp_path_factory.mktemp("text") / "train.both"
    write_lines(path, [line for pair in pairs(300) for line in pair])
    return path


def model(text: Path, **settings: Any) -> Path:
    """Learn a model, unless it has been learnt already; return its file."""
    path = text.with_name("-".join(["sentencepiece", *map(str, settings.values())]) + ".model")
    if not path.exists():
        path.write_bytes(learn(text, Namespace(**SETTINGS | settings)))
    return path


# Subwords joined


def odd_lines(marks: list[str]) -> list[str]:
    """Lines of random subwords, with marks and spaces where they do not belong."""
    choice = random.Random(5)
    parts = [*marks, "a", "bc", "犬", "@", "<", "\u00a0", "<unk>", "|", "_"]
    return ["", *(" ".join(choice.choices(parts, k=choice.randrange(1, 9))) for _ in range(400))]


def test_subwords_are_joined_as_fairseq_joins_them(fairseq: Callable[..., Any]) -> None:
    for name, marks in {
        "subword_nmt": ["@@", "a@@", "@@b"],
        "sentencepiece": ["\u2581", "\u2581a", "b\u2581c"],
    }.items():
        lines, undone = odd_lines(marks), SEGMENTERS[name].remove_bpe
        symbol = "@@ " if undone is True else undone  # what fairseq's own parser makes of the bare flag
        assert [module(name).join(line.split(" ")) for line in lines] == fairseq(without_bpe, lines, symbol)


def test_text_comes_back_from_its_pieces_whatever_it_holds(text: Path) -> None:
    segmenter = pieces.Segmenter(model(text))
    for line in [*ODD, *(line for pair in pairs(300) for line in pair)]:
        segmented = segmenter.segment(line)
        assert pieces.join(segmented) == line
        assert not {"<s>", "</s>", "<pad>", "<unk>"} & set(segmented), "fairseq takes it for its own symbol"
    assert pieces.join(segmenter.segment("a \u2581 b")).split() == ["a", "b"]  # its own mark is white space


def test_a_character_without_a_piece_is_unknown_or_spelt_in_bytes(text: Path) -> None:
    assert pieces.Segmenter(model(text)).segment("犬は黙")[-1] == "黙"
    segmenter = pieces.Segmenter(model(text, byte_fallback=True))
    segmented = segmenter.segment("犬は黙る😀")
    assert "<0xE9> <0xBB> <0x99>" in " ".join(segmented) and pieces.join(segmented) == "犬は黙る😀"


def test_bytes_of_a_hypothesis_become_characters_in_one_line(text: Path) -> None:
    """A model may write any bytes, halves of a character and ends of a line among them."""
    generated = [
        "H-0\t-0.1\t犬<0xE9><0xBB><0x99>",
        "H-1\t-0.1\t<0xE9>犬",
        "H-2\t-0.1\ta<0x0A><0x0D>b",
        "H-3\t-0.1\t<0x>",
    ]
    joined = hypotheses(generated, 4, "sentencepiece")
    assert joined[:2] == ["犬黙", "\ufffd犬"] and joined[3] == "<0x>"
    assert len(joined[2].splitlines()) == 1 and joined[2].split() == ["a", "b"]


def test_bytes_that_a_text_names_stay_text(text: Path) -> None:
    """A model without byte_fallback has no piece for a byte."""
    segmented = pieces.Segmenter(model(text)).segment("a <0x41>")
    assert pieces.join(segmented) == "a <0x41>"
    (line,) = hypotheses(["H-0\t-0.1\ta <0x41>"], 1, "sentencepiece", byte_fallback=False)
    assert line == "a <0x41>"


# SentencePiece's model


def test_a_model_is_the_same_on_one_core_and_on_two(text: Path) -> None:
    command = [sys.executable, "-m", "bleuprint.text.learn_sentencepiece", "--input", str(text), "--vocab-size", "200"]
    for cores in (1, 2):
        call = ["taskset", "-c", "0" if cores == 1 else "0,1", *command, "--output", str(text.with_name(f"{cores}"))]
        subprocess.run(call, check=True, cwd=ROOT / "workflow")
    assert text.with_name("1").read_bytes() == text.with_name("2").read_bytes() != b""


@pytest.mark.parametrize("settings", [{"vocab_size": 100, "byte_fallback": True}, {"model_type": "bpe"}])
def test_a_model_that_cannot_be_learnt_names_a_number_that_works(text: Path, settings: dict[str, Any]) -> None:
    settings = SETTINGS | {"vocab_size": 9000} | settings
    with pytest.raises(DataError) as error:
        learn(text, Namespace(**settings))
    way = re.fullmatch(r"[^\n]*; set text\.sentencepiece\.vocab_size=(\d+) or (?:more|fewer)\.", str(error.value))
    assert way and learn(text, Namespace(**settings | {"vocab_size": int(way[1])}))


# What own text gets, and what follows from a text

LOCAL = ["corpus=local", "corpus.train=mine", "source=de", "target=en"]


def choice_of(*words: str) -> Choice:
    (choice,) = experiments({"overrides": list(words)})
    return choice


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ([*LOCAL], ("own", "cased")),
        (["recipe=cpu_small", *LOCAL], ("own", "cased")),
        ([*LOCAL, "recipe=demo", "seed=2"], ("own", "cased")),
        ([*LOCAL, "text=iwslt14"], ("iwslt14", "cased")),
        ([*LOCAL, "recipe=demo", "text=joined", "scoring=bleu_chrf"], ("joined", "bleu_chrf")),
        (["recipe=cpu_small"], ("small", "bleu_chrf")),
        (["recipe=demo", "corpus=multi30k_de_en"], ("small", "bleu_chrf")),
        ([], ("iwslt14", "bleu_chrf")),
    ],
)
def test_own_text_gets_files_that_suit_it_unless_others_are_named(words: list[str], files: tuple[str, str]) -> None:
    groups = choice_of(*words).groups
    assert (groups["text"], groups["scoring"]) == files


def test_own_text_is_cased_raw_and_of_any_length_ratio() -> None:
    text = choice_of("recipe=demo", *LOCAL).experiment.text
    assert (text.tokenizer, text.lowercase, text.max_ratio, text.segmenter) == ("none", False, None, "sentencepiece")
    assert (text.unicode_normalization, text.joined_dictionary) == ("NFC", True)


@pytest.mark.parametrize(
    ("target", "file", "expected"),
    [
        ("en", "own", ("sentencepiece", "space", True)),
        ("fr", "own", ("sentencepiece", "space", True)),
        ("en", "iwslt14", (True, "moses", True)),
        ("eng_Latn", "iwslt14", (True, "moses", True)),
        ("ja", "own", ("sentencepiece", "space", None)),
        ("zho_Hans", "iwslt14", (True, "moses", None)),
        ("ko", "own", ("sentencepiece", "space", None)),
    ],
)
def test_auto_means_what_undoes_the_text_and_suits_the_language(target: str, file: str, expected: Any) -> None:
    experiment = choice_of("recipe=readme", *LOCAL, f"target={target}", f"text={file}").experiment
    training, by_bleu = experiment.training, expected[2]
    assert (training.eval_bleu_remove_bpe, training.eval_bleu_detok, training.eval_bleu) == expected
    assert experiment.decoding.remove_bpe == expected[0]
    assert (training.best_checkpoint_metric == "bleu", training.maximize_best_checkpoint_metric) == (
        bool(by_bleu),
        by_bleu,
    )


def test_where_the_target_alone_is_tokenised_auto_follows_it() -> None:
    words = ["recipe=readme", *LOCAL, "text.tokenizer={source:none,target:moses}"]
    assert choice_of(*words).experiment.training.eval_bleu_detok == "moses"


REFUSED = {
    "decoding.remove_bpe=true": "text.segmenter=sentencepiece is undone by sentencepiece; set decoding.remove_bpe=auto",
    "decoding.remove_bpe=false": "is undone by sentencepiece; set decoding.remove_bpe=auto",
    "text=iwslt14 decoding.remove_bpe=sentencepiece": "text.segmenter=subword_nmt is undone by true; set",
    "training.eval_bleu=true training.eval_bleu_remove_bpe=true": "undone by sentencepiece; set training.eval_bleu_rem",
    "text.merges=500": "has no effect with text.segmenter=sentencepiece; set text.sentencepiece.vocab_size",
    "text=iwslt14 text.sentencepiece.vocab_size=500": "has no effect with text.segmenter=subword_nmt; set text.merges",
    "text.segmenter=subword_nmt text.sentencepiece.model_type=bpe": "has no effect with text.segmenter=subword_nmt",
    "text.sentencepiece=null": "text.segmenter=sentencepiece needs its keys; leave it out",
    "text.segmenter=wordpiece": "input should be 'subword_nmt' or 'sentencepiece'",
    "text.sentencepiece.vocab_size=50": "input should be greater than or equal to 100",
}
WAYS_OUT = {
    "decoding.remove_bpe": "decoding.remove_bpe=auto",
    "training.eval_bleu_remove_bpe": "training.eval_bleu_remove_bpe=auto",
    "text.merges": "text.sentencepiece.vocab_size=500",
    "text.sentencepiece.vocab_size": "text.merges=500",
}


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("words", REFUSED)
def test_what_contradicts_the_text_is_refused_with_a_way_out_that_works(words: str) -> None:
    given = [*LOCAL, "recipe=cpu_small", *words.split()]
    message = refusal(given)
    assert message.startswith(key(given[-1])) and REFUSED[words] in message and "\n" not in message
    way = WAYS_OUT.get(key(given[-1]))
    if way and "greater" not in message:
        assert key(way) in message  # the message says so
        accept([*given[:-1], way])


# A tokeniser for each side


def test_each_side_has_its_own_tokeniser(text: Path, tmp_path: Path) -> None:
    """Raw English beside Japanese that is segmented already, in the text stage, in translate, and in the hypotheses."""
    (tmp_path / "raw").mkdir()
    segmented = [("The cat's here.", "猫 は ここ です 。"), ("It is 5 o'clock.", "5 時 です 。")] * 2
    for part in ("train", "test"):
        for side, language in enumerate(("en", "ja")):
            write_lines(tmp_path / f"raw/{part}.{language}", [pair[side] for pair in segmented])
    settings = choice_of("corpus=local", "corpus.train=x", "source=en", "target=ja",
                         "text.tokenizer={source:moses,target:none}").experiment.resolved()["text"]  # fmt: skip
    config = settings | {"source": "en", "target": "ja", "valid_every": 4}
    prepare(tmp_path / "raw", tmp_path / "tokenized", config, 1)
    assert read_lines(tmp_path / "tokenized/test.en")[:2] == ["The cat &apos;s here .", "It is 5 o &apos;clock ."]
    assert read_lines(tmp_path / "tokenized/test.ja")[:2] == ["猫 は ここ です 。", "5 時 です 。"]
    model(text).rename(tmp_path / "sentencepiece.model")
    run = Trained({"source": "en", "target": "ja", "text": settings}, {"text": tmp_path}, [])
    steps = Text(run)
    assert pieces.join(steps.subwords(b"The cat's  here.")) == "The cat &apos;s here ."
    assert steps.running("猫 は &apos;ここ .") == "猫 は &apos;ここ ."
    write(["5 時 です 。"], "ja", config["tokenizer"]["target"], tmp_path / "tokens", tmp_path / "text")
    assert (tmp_path / "text").read_text() == "5 時 です 。\n"


# Ceilings

FLORES = ["arb_Arab", "deu_Latn", "hin_Deva", "jpn_Jpan", "kor_Hang", "vie_Latn", "zho_Hans"]
FURTHER = ["eng_Latn", "fra_Latn", "heb_Hebr", "rus_Cyrl", "tur_Latn"]  # in scripts that the others have, or alike


@pytest.mark.slow
@pytest.mark.parametrize(
    "language", [*FLORES, *(pytest.param(language, marks=pytest.mark.nightly) for language in FURTHER)]
)
def test_the_text_stage_loses_nothing_that_scores_count(data: Path, language: str) -> None:
    with gzip.open(data / f"flores200_devtest/{language}.gz", "rt", encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n") for line in file]
    experiment = ceilings.experiment_of(language)
    form = experiment.text.unicode_normalization
    for name, metric in experiment.scoring.metrics.items():
        unchanged = ceilings.score(name, experiment, in_form(lines[:50], form), lines[:50])
        assert unchanged == pytest.approx(0 if metric.metric == "ter" else 100)
    returned = ceilings.back(lines, experiment)
    assert ceilings.score("bleu", experiment, returned, lines) == pytest.approx(100)
    assert returned == in_form(lines, form)


# A small training, with both engines


@pytest.mark.slow
def test_pieces_from_raw_text_to_an_exported_folder(
    snakemake: Snakemake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    for side, language in enumerate(("en", "ja")):
        write_lines(tmp_path / f"data/train.{language}", [pair[side] for pair in pairs(300)])
    model = "model.encoder_embed_dim=32 model.decoder_embed_dim=32 model.encoder_layers=1 model.decoder_layers=1"
    training = "training.max_update=180 training.max_epoch=null training.max_tokens=400 training.warmup_updates=20"
    corpus = "corpus.train=data/train text.sentencepiece.vocab_size=400 text.sentencepiece.byte_fallback=true"
    config = {"recipe": "demo", "corpus": "local", "source": "en", "target": "ja"}
    config["overrides"] = f"{corpus} {model} {training} training.lr=0.01 runtime.threads=1"
    monkeypatch.chdir(tmp_path)
    (planned,) = plan(experiments(config)).runs
    words = [f"{key}={value}" for key, value in config.items()]
    result = snakemake(f"results/runs/{planned.name}/scores.json", "--config", *words, env=CPU)
    assert result.returncode == 0, result.stderr
    assert "learning subwords" in result.stderr
    (raw,), (path,) = Path("results/corpus").glob("*/raw/test.en"), Path("results/runs").glob("*/hypotheses.txt")
    wanted, run = read_lines(path), trained(path.parent.name)
    assert len(set(wanted)) > 1 and all("は" in line and "\u2581" not in line for line in wanted)
    sentences = [Text(run).subwords(line.encode()) for line in read_lines(raw)]
    torch.set_num_threads(1)  # as above: threads that wait for one another are slow beside another test file
    assert list(translate.fairseq_engine(run, None)(sentences)) == wanted
    assert translate.translate(path.parent.name, raw, None, None) == 0  # with ctranslate2
    assert capsys.readouterr().out.splitlines() == wanted
    translator = ctranslate2.Translator(str(run.folders["decoding"] / "ctranslate2"))
    search = Namespace(**{"max_len_a": 0.0, "max_len_b": 200, "min_len": 1} | run.config["decoding"])
    search.segmenter = "sentencepiece"
    assert ctranslate.translate(translator, sentences, search) == wanted  # as the pipeline calls it
    export.export(path.parent.name, Path("exported"), None)
    files = {file.name for file in Path("exported").iterdir()}
    assert {"segmenter.py", "segmenter.model", "tokeniser.py", "detokeniser.py"} <= files and "codes" not in files
    assert "sentencepiece==" in Path("exported/requirements.txt").read_text()
    assert alone(tmp_path / "exported", raw.read_bytes()).decode().splitlines() == wanted


def test_one_tokeniser_for_both_sides_makes_one_text_however_it_is_written() -> None:
    words = ("corpus=local", "corpus.train=x", "source=en", "target=ja")
    texts = [
        choice_of(*words, f"text.tokenizer={word}").experiment.text for word in ("none", "{source:none,target:none}")
    ]
    assert texts[0].identity() == texts[1].identity() and texts[1].tokenizer == "none"
