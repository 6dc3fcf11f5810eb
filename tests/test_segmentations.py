"""Several segmentations of train: drawn with seeds, read by fairseq one an epoch, and resumed in the same bits."""

import json
import logging
import random
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT, TINY, Snakemake
from subword_nmt.apply_bpe import BPE
from test_fairseq_flags import binarise, one
from test_segmenters import ODD, SETTINGS, pairs
from test_text import learnt
from ways_out import accept, in_a_folder, refusal

from bleuprint.config.flags import argv
from bleuprint.files import DataError, read_json, read_lines, write_lines
from bleuprint.plan.fairseq_flags import sentencepiece
from bleuprint.plan.lengths import limits
from bleuprint.record.folder import begin
from bleuprint.text import apply_bpe, bpe, pieces
from bleuprint.text.apply_sentencepiece import Sampler
from bleuprint.text.learn_sentencepiece import learn
from bleuprint.text.segmentations import seed
from bleuprint.training.lengths import too_long

assert in_a_folder  # a fixture
DRAWN = ["train", "train2", "train3"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text in two languages, merges, and SentencePiece's models."""
    folder = tmp_path_factory.mktemp("text")
    lines = [line for pair in pairs(300) for line in pair]
    write_lines(folder / "train.both", lines)
    for side, language in enumerate(("en", "ja")):
        write_lines(folder / f"train.{language}", ["", *(pair[side] for pair in pairs(300))])
        write_lines(folder / f"valid.{language}", [pair[side] for pair in pairs(20)])
    (folder / "codes").write_text(learnt("\n".join(lines), 200))
    (folder / "unigram").write_bytes(learn(folder / "train.both", Namespace(**SETTINGS | {"byte_fallback": True})))
    return folder


def segment(text: Path, program: str, output: str, *words: str, workers: int = 1) -> Path:
    """Segment the text three times by a program; return the folder."""
    files = [str(text / f"{part}.{language}") for part in ("train", "valid") for language in ("en", "ja")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [program, *files, "--output", str(text / output), *words, "--workers", str(workers)])
        import_module(f"bleuprint.text.{program}").main()
    return text / output


PROGRAMS = {
    "merges": ("apply_bpe", bpe, ("--codes", "codes", "--dropout", "0.1")),
    "unigram": ("apply_sentencepiece", pieces, ("--model", "unigram", "--alpha", "0.2")),
    "nbest": ("apply_sentencepiece", pieces, ("--model", "unigram", "--alpha", "0.2", "--nbest-size", "8")),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_segmentations_differ_and_are_the_same_with_any_number_of_workers(text: Path, name: str) -> None:
    program, segmenter, (option, model, *words) = PROGRAMS[name]
    drawn = [option, str(text / model), *words, "--segmentations", "3"]
    first, second = (segment(text, program, f"{name}-{n}", *drawn, workers=n) for n in (1, 3))
    assert {path.name for path in first.iterdir()} == {
        f"{part}.{e}" for part in [*DRAWN, "valid"] for e in ("en", "ja")
    }
    assert all(path.read_bytes() == (second / path.name).read_bytes() for path in first.iterdir())
    plain = segment(text, program, f"{name}-plain", *drawn[:2])
    assert sorted(path.name for path in plain.iterdir()) == ["train.en", "train.ja", "valid.en", "valid.ja"]
    for language in ("en", "ja"):
        lines = read_lines(text / f"train.{language}")
        all_drawn = [read_lines(first / f"{part}.{language}") for part in DRAWN]
        for segmented in all_drawn:
            assert [segmenter.join(line.split(" ")) for line in segmented] == lines
        for before, after in pairwise([read_lines(plain / f"train.{language}"), *all_drawn]):
            assert sum(a != b for a, b in zip(before, after, strict=True)) > 50
        assert (first / f"valid.{language}").read_bytes() == (plain / f"valid.{language}").read_bytes()


def test_what_is_drawn_is_what_subword_nmt_draws(text: Path, tmp_path: Path) -> None:
    apply_bpe.apply((text / "train.en", "train2.en"), text / "codes", tmp_path, 0.3)
    with open(text / "codes") as codes:
        tool = BPE(codes)
    random.seed(seed("train2.en"))
    assert read_lines(tmp_path / "train2.en") == [
        tool.process_line(line, 0.3) for line in read_lines(text / "train.en")
    ]


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
def test_drawn_pieces_make_the_same_text_as_the_most_probable_ones(text: Path, tmp_path: Path, rule: str) -> None:
    settings = SETTINGS | {"byte_fallback": True, "normalization_rule_name": rule}
    (tmp_path / "model").write_bytes(learn(text / "train.both", Namespace(**settings)))
    sampler, segmenter = Sampler(tmp_path / "model", 0.1, 64, 1), pieces.Segmenter(tmp_path / "model")
    for line in [*ODD, "\u2581", "a \u2581b\u2581 c", "黙る😀 ½ Ａ１", "x" * 2000, *read_lines(text / "train.ja")]:
        drawn = sampler.draw(line).split(" ")
        assert pieces.join(drawn).split() == pieces.join(segmenter.segment(line)).split()
        assert not {"<s>", "</s>", "<pad>", "<unk>"} & set(drawn)


# The config

LOCAL = ["corpus=local", "corpus.train=mine", "recipe=cpu_small"]
REFUSED = {
    "text=iwslt14 text.segmentations=8": "all would be the same; set text.bpe_dropout=0.1, too",
    "text.segmentations=8": "all would be the same; set text.sentencepiece.alpha=0.1, too",
    "text=iwslt14 text.bpe_dropout=0.1": "all epochs would read the same segmentation; set text.segmentations=8, too",
    "text.sentencepiece.alpha=0.1": "all epochs would read the same segmentation; set text.segmentations=8, too",
    "text.segmentations=8 text.sentencepiece.alpha=0.1 text.bpe_dropout=0.1": "set text.sentencepiece.alpha",
    "text=iwslt14 text.segmentations=8 text.bpe_dropout=0.1 text.sentencepiece.alpha=0.1": "set text.bpe_dropout",
    "text.sentencepiece.nbest_size=8": "has no effect without its alpha",
    "text.sentencepiece.model_type=bpe text.segmentations=8 text.sentencepiece.alpha=0.1": "model_type=unigram; BPE",
    "text=iwslt14 text.segmentations=8 text.bpe_dropout=1": "less than 1",
    "text.segmentations=0": "greater than 0",
}


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("words", REFUSED)
def test_contradictions_are_refused_in_one_sentence(words: str) -> None:
    message = refusal([*LOCAL, *words.split()])
    assert REFUSED[words] in message and "\n" not in message
    if message.endswith(", too"):
        way = message.partition("set ")[2].removesuffix(", too")
        assert accept([*LOCAL, *words.split(), way])[0].text.segmentations == 8


@pytest.mark.usefixtures("in_a_folder")
def test_one_segmentation_has_no_keys_of_its_own_and_eight_do_not_change_the_model() -> None:
    (once,) = accept([*LOCAL, "text.segmentations=1"])
    assert not {"segmentations", "bpe_dropout"} & {*once.text.identity(), *once.resolved()["text"]}
    assert not {"alpha", "nbest_size"} & once.text.identity()["sentencepiece"].keys()
    (often,) = accept([*LOCAL, "text.segmentations=8", "text.sentencepiece.alpha=0.1"])
    assert often.text.identity()["segmentations"] == often.resolved()["text"]["segmentations"] == 8
    assert often.text.identity()["sentencepiece"]["alpha"] == 0.1
    assert sentencepiece(often) == sentencepiece(once) and "alpha" not in sentencepiece(once)


# The workflow

DEMO = ["--config", "recipe=demo", f"overrides={TINY} text.segmentations=3 text.bpe_dropout=0.1"]


def test_the_training_reads_all_segmentations(
    snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = snakemake("training", *DEMO, env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    assert "text      demo-de-en" in result.stderr and "50 merges, 3 segmentations, " in result.stderr
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    monkeypatch.chdir(tmp_path)
    (folder,) = Path("results/text").iterdir()
    shards = [f"{folder}/bin{number}" for number in ("", 2, 3)]
    assert [call[1] for call in calls if call[0] == "fairseq-train"] == [":".join(shards)]
    binarised = {Path(call[call.index("--trainpref") + 1]).name: call for call in calls if "--trainpref" in call}
    assert sorted(binarised) == DRAWN
    for part, call in binarised.items():
        assert ("--validpref" in call) == ("--testpref" in call) == (part == "train")
        assert call[call.index("--srcdict") + 1].endswith("bin.part/dict.de.txt") and "--tgtdict" in call
    sealed = read_json(folder / "seal.json")["files"]
    assert {"bin/dict.de.txt", "bin2/dict.de.txt", "bin3/dict.de.txt", "bpe/train3.en"} <= sealed.keys()
    (training,) = Path("results/training").iterdir()
    Path(shards[2], "dict.de.txt").write_text("changed")
    with pytest.raises(DataError, match=r"bin3/dict\.de\.txt has "):
        begin(training, json.dumps(yaml.safe_load((training / "config.yaml").read_text())), list(map(Path, shards)))


def test_lines_of_all_segmentations_are_measured(fairseq: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bpe").mkdir()
    for shard, length in (("bin", 5), ("bin2", 90), ("bin3", 7)):
        (tmp_path / shard).mkdir()
        fairseq(binarise, str(tmp_path / shard), {"train": [(3, 3), (length, 5)]})
    problem = too_long(tmp_path / "bin", limits(one(overrides=["training.max_tokens=89"])))
    assert problem and problem.startswith(f"{tmp_path}/bpe/train2.de, line 2: it has 90 subwords")


# fairseq

PAIR = {"source_lang": "de", "target_lang": "en"}


def shards(folder: Path, joined: bool) -> list[Path]:
    """Binarise three segmentations of 40 made-up pairs as the rule does; return their folders."""
    from fairseq import options
    from fairseq_cli import preprocess

    from bleuprint.text import dictionary

    draw = random.Random(1)
    for part in [*DRAWN, "valid"]:
        for language in PAIR.values():
            letters = f"abcdefgh{part[-1]}{language}"  # each segmentation has a subword of its own
            write_lines(folder / f"{part}.{language}", [" ".join(draw.choices(letters, k=9)) for _ in range(40)])
    groups = [["de", "en"]] if joined else [["de"], ["en"]]
    for group in groups:
        dictionary.write(folder, group, 3, folder / f"dict.{group[0]}.txt", 1)
    known = {
        f"{side}dict": folder / f"dict.{group[0]}.txt" for side, group in zip(("src", "tgt"), groups, strict=False)
    }
    for number, part in enumerate(DRAWN, 1):
        flags = PAIR | known | {"trainpref": folder / part, "destdir": folder / f"bin{number}"}
        flags |= {"joined_dictionary": joined} | ({"validpref": folder / "valid"} if number == 1 else {})
        preprocess.main(options.get_preprocessing_parser().parse_args(argv(flags)))
    return [folder / f"bin{number}" for number in (1, 2, 3)]


def dictionaries(folder: Path, joined: bool) -> tuple[list[str], list[list[str]]]:
    """Return the dictionary that fairseq-preprocess makes of all segmentations in one file, and those of the shards."""
    from fairseq import options
    from fairseq_cli import preprocess

    logging.disable()
    folders = shards(folder, joined)
    for language in PAIR.values():
        write_lines(
            folder / f"all.{language}", [line for part in DRAWN for line in read_lines(folder / f"{part}.{language}")]
        )
    flags = PAIR | {
        "trainpref": folder / "all",
        "destdir": folder / "all",
        "dict_only": True,
        "joined_dictionary": joined,
    }
    preprocess.main(options.get_preprocessing_parser().parse_args(argv(flags)))
    whole, *others = (
        [(place / f"dict.{language}.txt").read_text() for language in PAIR.values()]
        for place in (folder / "all", *folders)
    )
    return whole, others


@pytest.mark.parametrize("joined", [False, True])
def test_the_dictionary_is_fairseqs_of_all_segmentations(
    fairseq: Callable[..., Any], tmp_path: Path, joined: bool
) -> None:
    whole, others = fairseq(dictionaries, tmp_path, joined)
    assert others == [whole] * 3 and (whole[0] == whole[1]) == joined
    assert {"2", "3", "n"} <= {line.split(" ")[0] for line in whole[0].splitlines()}


def trained(folder: Path, sessions: list[tuple[str, dict[str, int]]]) -> dict[str, list[tuple[str, str]]]:
    """Run fairseq-train with bleuprint's plugin on three shards; return what each save-dir's sessions load."""
    from fairseq.tasks import translation
    from fairseq_cli import train

    logging.disable()
    data = ":".join(map(str, shards(folder, joined=False)))
    load, loaded = translation.load_langpair_dataset, []

    def note(path: str, split: str, *arguments: Any, **options: Any) -> Any:
        loaded.append((split, Path(path).name))
        return load(path, split, *arguments, **options)

    translation.load_langpair_dataset = note
    layer = {"layers": 1, "embed_dim": 32, "ffn_embed_dim": 64, "attention_heads": 2}
    flags: dict[str, Any] = {
        f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in layer.items()
    }
    flags |= {"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam"}
    flags |= {"max_tokens": 100, "lr": 0.01, "update_epoch_batch_itr": "True", "cpu": True, "num_workers": 0}
    flags |= {"user_dir": ROOT / "workflow/bleuprint/fairseq_plugin"}
    reads: dict[str, list[tuple[str, str]]] = {}
    for name, ends in sessions:
        sys.argv = ["fairseq-train", data, *argv(flags | ends | {"save_dir": folder / name})]
        train.cli_main()
        reads[name] = reads.get(name, []) + loaded
        loaded.clear()
    return reads


@pytest.mark.slow
def test_each_epoch_reads_the_next_one_also_in_a_resumed_training(fairseq: Callable[..., Any], tmp_path: Path) -> None:
    """Five updates make an epoch: one session ends within the third epoch, the next one at the end of the fourth."""
    whole = {"max_epoch": 5}
    sessions = [("whole", whole), ("stopped", {"max_update": 13}), ("stopped", {"max_update": 20}), ("stopped", whole)]
    reads = fairseq(trained, tmp_path, sessions)
    valid, first, second, third = ("valid", "bin1"), ("train", "bin1"), ("train", "bin2"), ("train", "bin3")
    # When an epoch has ended, fairseq loads the next one, and then sees whether there is one
    assert reads["whole"] == [valid, first, second, third, first, second, third]
    assert reads["stopped"] == [valid, first, second, third, valid, third, first, valid, second, third]
    states = [torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=False) for name in ("whole", "stopped")]
    assert [state["optimizer_history"][-1]["num_updates"] for state in states] == [25, 25]
    assert all(torch.equal(weights, states[1]["model"][name]) for name, weights in states[0]["model"].items())
