"""A config that is refused is accepted once that is done which the message names."""

import re
import shlex

import pytest
from ways_out import accept, in_a_folder, key, refusal

from bleuprint.config import known_flags
from bleuprint.config.groups import shipped
from bleuprint.machine import device
from bleuprint.plan import costs

__all__ = ["in_a_folder"]  # a fixture
pytestmark = pytest.mark.usefixtures("in_a_folder")
LEAVE_OUT = "leave it out"
EPOCHS = "recipe=assignment training.max_update=null training.max_epoch=50"
# What is refused; then one step after the other: the words that the message names, or what it says and those words
Step = str | tuple[str, str]
CONFIG: list[tuple[str, *tuple[Step, ...]]] = [
    ("modle=lightconv", ("did you mean model?", "model=lightconv")),
    ("model=lightcnv", ("lightconv,", "model=lightconv")),
    ("training.lrr=1e-3", ("did you mean lr?", "training.lr=1e-3")),
    ("training.checkpoint=bets", ("'average_best'", "training.checkpoint=average_best")),
    ("text.tokenizer=mose", ("'moses' or 'none'", "text.tokenizer=none")),
    ("corpus.kind=x", ("corpus=demo or", "corpus=demo")),
    ("corpus=local", ('overrides="corpus.train=…"', "corpus=local corpus.train=mine")),
    ("corpus=local corpus.train=nowhere", ("check corpus.train", "corpus=local corpus.train=mine")),
    ("corpus.train=mine", "corpus=local"),
    ("corpus.bytes=null corpus.sha256=null", ("give corpus.bytes or corpus.sha256", "corpus.bytes=5")),
    ("source=fr", ("de and en; name each of them once", "source=de target=en")),
    ("~seed", ("needs a value", "seed=1")),
    ("seed=[1,2,3]", "seed=1,2,3"),
    ("seed=1-3", "seed=range(1,4)"),
    ("seed=3-1", "seed=range(1,4)"),
    ("decoding.beam=4..6", "decoding.beam=range(4,7)"),
    ("decoding.ensemble=[2-4]", ("in a list write 2,3,4", "decoding.ensemble=[2,3,4]")),
    ("decoding.ensemble=[range(2,4)]", ("write the values out", "decoding.ensemble=[2,3]")),
    ("decoding.ensemble=[2,1]", ("name the others, each once", "decoding.ensemble=[2]")),
    ("decoding.ensemble=2", "decoding.ensemble=[2]"),
    ("corpus.sources=https://host/x", "corpus.sources=[https://host/x]"),
    ("seed=shuffle(1,2)", ("leave shuffle out", "seed=1,2")),
    ("seed=range(3,3)", ("range(START,STOP) ends before STOP", "seed=range(3,4)")),
    ("runtime.threads=1,2", ("give one value", "runtime.threads=2")),
    ("model=[transformer,lightconv]", "model=transformer,lightconv"),
    ("training.lr=glob(*)", ("training.lr=VALUE,VALUE", "training.lr=1e-3,2e-3")),
    ("training.lr=interval(1e-4,1e-3)", ("training.lr=range(START,STOP,STEP)", "training.lr=range(1e-4,1e-3,4e-4)")),
    ("training={lr:1}", ("training.KEY=VALUE", "training.lr=1")),
    ("training.lr=${lr}", ("${KEY} stands for the value of another key", "training.lr=${model.dropout}")),
    ("training.adam_betas=(0.9,0.9)", ("needs quotes", "training.adam_betas=\"'(0.9,0.9)'\"")),
    ("training.adam_betas=5", ("quotes of its own", "training.adam_betas=\"'5'\"")),
    ("model@decoder=lightconv", ("write model=lightconv", "model=lightconv")),
    ("+model=lightconv", "model=lightconv"),
    ("~model", ("choose a file: dynamicconv,", "model=dynamicconv")),
    ("~model.dropout=1", "~model.dropout"),
    ("~training.update_freq", ("nothing can be removed", "")),
    ("hydra.sweep.dir=x", LEAVE_OUT),
    ("decoding.tune={}", ("values of beam or lenpen", "decoding.tune={beam:[4]}")),
    ("decoding.tune.beam=[4]", ("+decoding.tune.beam", "+decoding.tune.beam=[4]")),
    ("corpus.expected.lines.new=3", ("+corpus.expected.lines.new", "+corpus.expected.lines.new=3")),
    ("training.keep_best_checkpoints=3", ("+training.keep_best_checkpoints", "+training.keep_best_checkpoints=3")),
    ("training.max_epoch=null training.max_update=null", ("set training.max_epoch", "training.max_epoch=3")),
    ("training.max_epoch=null training.max_update=null", ("or training.max_update", "training.max_update=3")),
    ("training.fp16=true training.bf16=true", ("set one of them to false", "training.fp16=true training.bf16=false")),
    ("+training.dropout=0.1", ("set it in one of them", "model.dropout=0.1")),
    ("training.start_from=./no.pt", ("correct the path", "training.start_from=./mine.de")),
    # Flags with several names, or for another command
    ("training.wd=0.3", ("set training.weight_decay instead", "training.weight_decay=0.3")),
    (
        "+training.max_sentences=3 +training.batch_size=4",
        ("set +training.batch_size", "+training.batch_size=3"),
    ),
    ("+decoding.batch_size_valid=3", ("set +training.batch_size_valid instead", "+training.batch_size_valid=3")),
    # Flags that contradict each other
    ("+training.disable_validation=true recipe=assignment", LEAVE_OUT),
    (f"{EPOCHS} +training.save_interval=9", "training.max_epoch=54"),
    (f"{EPOCHS} +training.validate_interval=60", ("set a smaller", f"{EPOCHS} +training.validate_interval=10")),
    (
        "recipe=assignment training.max_update=9 +training.validate_after_updates=10",
        ("set it lower", "recipe=assignment training.max_update=9 +training.validate_after_updates=8"),
    ),
    (
        "recipe=assignment training.best_checkpoint_metric=bleu",
        "training.eval_bleu=true",
        "training.maximize_best_checkpoint_metric=true",
    ),
    (
        "recipe=assignment training.criterion=label_smoothed_cross_entropy training.best_checkpoint_metric=accuracy",
        "+training.report_accuracy=true",
        "training.maximize_best_checkpoint_metric=true",
    ),
    (
        "training.best_checkpoint_metric=x",
        ("one of bleu, loss,", "training.best_checkpoint_metric=loss"),
        "training.maximize_best_checkpoint_metric=false",
    ),
    ("+training.left_pad_target=true", "+decoding.left_pad_target=true"),
    (
        "model.arch=cmlm_transformer",
        ("all three", "model.arch=cmlm_transformer training.criterion=nat_loss +training.task=translation_lev"),
        "+decoding.task=translation_lev",
        "text.joined_dictionary=true",
    ),
    (
        "+model.share_all_embeddings=true +model.encoder_embed_dim=8 +model.decoder_embed_dim=4",
        ("set one of them to the other", "+model.share_all_embeddings=true +model.decoder_embed_dim=8"),
        "text.joined_dictionary=true",
    ),
    ("decoding.compute_type=int8", "decoding.engine=ctranslate2"),
    ("model=lightconv decoding.compute_type=int8", "decoding.compute_type=float32"),
    ("model=lightconv decoding.engine=ctranslate2", "decoding.engine=fairseq"),
    (
        "model=lightconv decoding.engine=ctranslate2 decoding.compute_type=int8",
        "decoding.engine=fairseq decoding.compute_type=float32",
    ),
]


@pytest.mark.parametrize("row", CONFIG, ids=lambda row: row[0])
def test_a_refused_config_is_accepted_with_the_words_that_the_message_names(row: tuple[str, *tuple[Step, ...]]) -> None:
    words = shlex.split(row[0])
    for step in row[1:]:
        said, new = step if isinstance(step, tuple) else (step, step)
        message = refusal(words)
        assert said in message
        given = [] if said == LEAVE_OUT else shlex.split(new)
        subject = key(message.partition(":")[0])  # what is replaced or left out, where the words alone do not mend it
        dropped = {subject} if said == LEAVE_OUT or said != new else set()
        dropped |= {f"{section}.{subject}" for section in ("model", "training") if dropped} | set(map(key, given))
        words = [word for word in words if key(word) not in dropped] + given
    accept(words)


def test_each_flag_that_the_table_refuses_is_accepted_if_it_is_left_out() -> None:
    """Nothing that bleuprint gives by itself is refused, in any recipe."""
    for recipe in shipped()["recipe"]:
        accept([f"recipe={recipe}"])


def test_flags_for_the_other_command_are_set_there() -> None:
    for name in known_flags.flags():
        complaint = known_flags.complaint("decoding", name, "x") or ""
        if match := re.search(r"set \+training\.(\w+) instead", complaint):
            assert match[1] == name and known_flags.complaint("training", name, "x") is None


@pytest.mark.parametrize("threads", [2, 4])
def test_a_training_that_is_too_long_for_a_cpu(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ())
    monkeypatch.setattr(device, "has_bf16", lambda: False)

    def refused(*words: str) -> str | None:
        (experiment,) = accept([*words])
        return costs.refusal(experiment, threads)

    message = refused()
    assert message
    for words in ["runtime.device=cpu", *re.findall(r"recipe=\w+", message)]:
        assert words in message and refused(words) is None
    message = refused("recipe=demo", "runtime.device=cuda")
    assert message and "runtime.device=auto" in message and refused("recipe=demo", "runtime.device=auto") is None
    message = refused("recipe=demo", "training.bf16=true")
    assert message and "set it to auto or false" in message and "runtime.device=cpu" in message
    for words in ("training.bf16=auto", "training.bf16=false", "training.bf16=true runtime.device=cpu"):
        assert refused("recipe=demo", *words.split()) is None
