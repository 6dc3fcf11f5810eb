"""COMET: its models' identity, how the score job runs it, what is said where it cannot, and the report of its scores.

Another program stands in for its environment's Python; with the real one in `make nightly`, a tiny model made here.
"""

import json
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import made_up
import pytest
import yaml
from conftest import CPU, ROOT, TINY, jobs, run_snakemake
from made_up import METRICS, REFERENCES, make_run, noisy
from sacrebleu.significance import PairedTest

from bleuprint.commands import doctor, installation
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.files import DataError
from bleuprint.machine import device
from bleuprint.plan import how
from bleuprint.plan.explain import to_compute
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan
from bleuprint.report.comparison import compare
from bleuprint.report.groups import groups, interval, ranking
from bleuprint.report.translations import by_length, most_changed
from bleuprint.report.verdict import meaning
from bleuprint.scoring import comet
from bleuprint.scoring.comet import Judge
from bleuprint.scoring.mean import Mean
from bleuprint.scoring.metrics import headline, score

NAMED = "+scoring.metrics.comet={metric:comet,model:wmt22-comet-da}"
ENTRY = {"metric": "comet", "text": "detokenised", "lowercase": False, "tokenize": None, "model": "wmt22-comet-da"}
HYPOTHESES = ["the cat sat", "a Dog", ""]
# The share of the reference's words that the hypothesis has, less a little where the source is not known either
STAND_IN = """#!{python}
import json, os, sys
assert sys.argv[1] == "-I" and sys.argv[2].endswith("comet_program.py")
order = json.load(sys.stdin)
with open({order!r}, "w") as file:
    json.dump(order | {{"offline": os.environ.get("HF_HUB_OFFLINE")}}, file)
def judged(sample):
    reference = sample["ref"].split()
    return sum(word in sample["mt"].split() for word in reference) / len(reference) - 0.25 * (not sample["src"])
answer = {{"scores": [judged(sample) for sample in order["samples"]], "comet": "2.2.7"}}
{change}
with open(sys.argv[3], "w") as file:
    json.dump(answer, file)
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing downloaded"))
    for module in (device, installation, how):
        if hasattr(module, "gpus"):
            monkeypatch.setattr(module, "gpus", lambda: ())


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Path]:
    """`python(change)` writes the stand-in, which runs the lines `change` before it answers."""

    def write(change: str = "") -> Path:
        file = tmp_path / "python"
        file.write_text(STAND_IN.format(python=sys.executable, order=str(tmp_path / "order.json"), change=change))
        file.chmod(0o755)
        return file

    return write


def make_model(folder: Path, encoder: str = "org/encoder") -> Path:
    """Write the files of a model that no program can load."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "model.ckpt").write_bytes(b"weights")
    (folder / "hparams.yaml").write_text(f"pretrained_model: {encoder}\n")
    (folder / encoder).mkdir(parents=True)
    (folder / encoder / "config.json").write_text("{}")
    return folder


def planned(*words: str) -> Plan:
    return plan(experiments({"recipe": "demo", "overrides": list(words)}))


def of_model(model: str) -> str:
    return f"+scoring.metrics.comet={{metric:comet,model:{model}}}"


def scoring(model: str) -> dict[str, Any]:
    (stage,) = planned(of_model(model)).stages["scoring"].values()
    entry: dict[str, Any] = stage.slice["metrics"]["comet"]
    return entry


# Identity


def test_without_it_no_folder_has_another_name() -> None:
    (stage,) = planned().stages["scoring"].values()
    assert all(entry.keys() == {"metric", "text", "lowercase", "tokenize"} for entry in stage.slice["metrics"].values())
    assert "model" not in str(stage.experiment.resolved()["scoring"])


def test_only_the_scores_depend_on_it() -> None:
    without, with_it = planned(), planned(NAMED)
    assert [name for name in without.stages if without.stages[name].keys() != with_it.stages[name].keys()] == [
        "scoring"
    ]


def test_a_name_counts_as_it_stands_and_files_by_their_content() -> None:
    assert scoring("wmt22-comet-da")["model"] == "wmt22-comet-da"
    assert scoring("Unbabel/wmt22-comet-da")["model"] == "Unbabel/wmt22-comet-da"
    first, second = make_model(Path("models/a")), make_model(Path("models/b"))
    digest = scoring("models/a")["model"]
    assert re.fullmatch("sha256-[0-9a-f]{16}", digest)
    assert {scoring(word)["model"] for word in ("models/b", "./models/a", f"{first}/checkpoints/model.ckpt")} == {
        digest
    }
    (second / "org/encoder/pytorch_model.bin").write_bytes(b"not read")
    assert scoring("models/b")["model"] == digest
    for name, content in (("org/encoder/config.json", '{"x": 1}'), ("hparams.yaml", "{pretrained_model: org/encoder}")):
        copy = make_model(Path("models", name.replace("/", "-")))
        (copy / name).write_text(content)
        assert scoring(str(copy))["model"] != digest


def test_a_replay_in_another_folder_finds_the_model(tmp_path: Path) -> None:
    make_model(tmp_path / "elsewhere/models/a")
    (choice,) = experiments({"overrides": of_model("models/a")})
    relocated = choice.experiment.scoring.relocated(tmp_path / "elsewhere")
    assert relocated == {"metrics.comet.model": str(tmp_path / "elsewhere/models/a")}
    (choice,) = experiments({"overrides": NAMED})
    assert choice.experiment.scoring.relocated(tmp_path / "elsewhere") == {}


# Errors that are found before any job


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{metric:comet}", "scoring.metrics.x.model: is missing; name a model, such as wmt22-comet-da, or give its"),
        ("{metric:comet,model:a,text:tokens}", "scoring.metrics.x.text=tokens: COMET reads running text; leave it out"),
        ("{metric:chrf,model:a}", "scoring.metrics.x.model=a: chrf has no model; leave it out"),
    ],
)
def test_a_wrong_entry_is_named(entry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        planned(f"+scoring.metrics.x={entry}")


def test_missing_and_damaged_files_are_named() -> None:
    with pytest.raises(DataError, match=r"^/no/checkpoints/model.ckpt: no such file; name a folder that holds hparams"):
        planned(of_model("/no"))
    model = make_model(Path("model"))
    (model / "hparams.yaml").write_text("[]")
    with pytest.raises(DataError, match=r"/hparams.yaml: names no pretrained_model; take the file that belongs to"):
        planned(of_model("model"))


def test_a_missing_environment_or_encoder_is_said_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(made: Plan) -> str:
        with pytest.raises(SystemExit) as ended:
            doctor.refuse(made, to_compute(made), 2)
        return str(ended.value)

    monkeypatch.setattr(comet, "PYTHON", tmp_path / "venv" / "bin" / "python")
    named = planned(NAMED)
    assert refused(named) == (
        "bleuprint: scoring.metrics.comet needs COMET, which has an environment of its own; run make comet."
    )
    doctor.refuse(named, to_compute(named) - {("scoring", key) for key in named.stages["scoring"]}, 2)  # is there
    (tmp_path / "venv/lib/python3.11/site-packages/unbabel_comet-2.2.7.dist-info").mkdir(parents=True)
    assert "run make comet" in refused(named)  # it was interrupted
    (tmp_path / "venv/.complete").touch()
    doctor.refuse(named, to_compute(named), 2)
    assert installation.models(named, list(named.stages["scoring"])) == [("COMET", "2.2.7", None)]
    assert installation.models(planned(), list(planned().stages["scoring"])) == []
    model = make_model(Path("model"))
    doctor.refuse(planned(of_model("model")), to_compute(planned(of_model("model"))), 2)
    (model / "org/encoder/config.json").unlink()
    made = planned(of_model("model"))
    assert refused(made).startswith("bleuprint: the encoder org/encoder of COMET's model model is missing: put its")
    (tmp_path / "nothing downloaded/hub/models--org--encoder").mkdir(parents=True)
    doctor.refuse(made, to_compute(made), 2)


def test_a_gpu_that_its_torch_cannot_use_is_said_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status, word in ((1, "the torch in"), (0, "None")):
        script = tmp_path / f"venv{status}/bin/python"
        script.parent.mkdir(parents=True)
        script.write_text(f"#!/bin/sh\nexit {status}\n")
        script.chmod(0o755)
        monkeypatch.setattr(comet, "PYTHON", script)
        monkeypatch.setattr(comet, "version", lambda: "2.2.7")
        assert str(comet.unusable({"comet": "wmt22-comet-da"}, gpu=True)).startswith(word)
        assert comet.unusable({"comet": "wmt22-comet-da"}, gpu=False) is None
        made = planned(NAMED, "runtime.device=cuda")
        missing = {item for item in to_compute(made) if item[0] == "scoring"}
        assert [str(row[2])[:12] for row in installation.models(made, [key for _, key in missing])] == [word[:12]]
        doctor.refuse(made, missing, 2, elsewhere=True)  # a scheduler's machines have GPUs that this one lacks


# The score job


def test_how_the_job_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(*words: str) -> dict[str, str]:
        made = planned(*words)
        (key,) = made.stages["scoring"]
        return how.score(made, key)

    assert pieces() == {"texts": "", "launcher": ""}
    own = pieces(NAMED)
    assert own["launcher"] == "" and "--gpu" not in own["texts"]
    words = shlex.split(own["texts"])
    assert words[words.index("--models") + 1] == '{"comet": "wmt22-comet-da"}'
    assert re.fullmatch(r"results/corpus/demo-\w{8}/raw/test.de", words[words.index("--source") + 1])
    assert words[words.index("--python") + 1] == str(comet.PYTHON)
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    on_gpu = pieces(NAMED, "runtime.device=cuda")
    assert on_gpu["launcher"] == "python -m bleuprint.machine.lease --gpus 0 " and on_gpu["texts"].endswith("--gpu")


def test_its_score_is_the_mean_with_sacrebleus_interval(python: Callable[..., Path], tmp_path: Path) -> None:
    references = ["the cat sat down", "a dog", "the end"]
    judge = Judge(python(), "wmt22-comet-da", ["die Katze", "", "das Ende"])
    row, sentences = score(ENTRY, HYPOTHESES, [references, ["x"] * 3], 200, judge)
    assert sentences == [75.0, 25.0, 0.0]
    assert row["score"] == pytest.approx(statistics.fmean(sentences))
    assert 0 < row["ci"] < 50 and row["mean"] == pytest.approx(row["score"], abs=5)
    signature = "nrefs:1|bs:200|seed:12345|case:mixed|model:wmt22-comet-da|comet:2.2.7|version:2.6.0"
    assert row["signature"] == signature and row["config"] == ENTRY
    order = json.loads((tmp_path / "order.json").read_text())
    assert order["samples"][0] == {"src": "die Katze", "mt": "the cat sat", "ref": "the cat sat down"}
    assert (order["folder"], order["offline"], order["gpu"], order["batch_size"]) == (None, None, False, 16)


def test_lower_case_and_files_of_a_model(python: Callable[..., Path], tmp_path: Path) -> None:
    model = make_model(Path("model"))
    judge = Judge(python(), "model/checkpoints/model.ckpt", ["Ein Hund"], gpu=True)
    row, sentences = score(ENTRY | {"lowercase": True}, ["A Dog"], [["a dog"]], 100, judge)
    assert sentences == [100.0] and "case:lc" in row["signature"]
    order = json.loads((tmp_path / "order.json").read_text())
    assert order["samples"] == [{"src": "ein hund", "mt": "a dog", "ref": "a dog"}]
    assert order["model"] == str(model.absolute() / "checkpoints/model.ckpt") and order["gpu"] is True
    assert (order["folder"], order["offline"]) == (str(model.absolute()), "1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("answer = {'error': 'RuntimeError: no'}", "COMET failed with the model m: RuntimeError: no; score.log beside"),
        ("answer['scores'].pop()", "COMET failed with the model m: a sentence has no score, or one that is no number"),
        ("answer['scores'][0] = float('nan')", "COMET failed with the model m: a sentence has no score"),
        ("sys.exit(3)", "COMET failed with the model m: its process ended with status 3;"),
        ("os.kill(os.getpid(), 9)", "its process ended with status -9 .killed, most likely because memory ran out.;"),
    ],
)
def test_a_failure_is_one_sentence(python: Callable[..., Path], change: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(ENTRY, HYPOTHESES, [["a", "b", "c"]], 100, Judge(python(change), "m", ["x", "y", "z"]))


def test_a_missing_program_and_another_source_are_one_sentence() -> None:
    with pytest.raises(DataError, match=r"No such file or directory: '/no/python'; score.log"):
        score(ENTRY, ["a"], [["a"]], 100, Judge(Path("/no/python"), "m", ["x"]))
    with pytest.raises(DataError, match=r"^1 hypotheses cannot be scored against 2 source lines\.$"):
        score(ENTRY, ["a"], [["a"]], 100, Judge(Path("/no/python"), "m", ["x", "y"]))


def test_the_command_scores_with_it_beside_the_others(python: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({"metrics": METRICS | {"comet": ENTRY}, "resamples": 100}))
    for name, lines in {"hyp": ["a cat", "x"], "ref": ["a cat", "b"], "src": ["eine Katze", "b"]}.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    words = "--config config.yaml --tokens hyp ref --detokenised hyp ref --output scores.json --sentences singles.json"
    words += f" --source src --python {python()}"
    command = [sys.executable, "-m", "bleuprint.scoring", *words.split(), "--models", '{"comet": "m"}']
    subprocess.run(command, check=True)
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]
    assert list(metrics) == ["bleu_tok_lc", "chrf", "comet"] and metrics["comet"]["score"] == 50
    assert json.loads((tmp_path / "singles.json").read_text())["comet"] == [100, 0]


# The report


def test_the_report_treats_it_as_any_metric(python: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(python(), "m", REFERENCES)

    def scored(metric: dict[str, Any], *texts: Any) -> Any:
        return score(metric, *texts, *([judge] if metric["metric"] == "comet" else []))

    monkeypatch.setattr(made_up, "score", scored)
    with_comet = partial(make_run, metrics={"a_comet": ENTRY} | METRICS)
    runs = [
        with_comet(model, seed, noisy(REFERENCES, share, seed))
        for model, share in (("transformer", 0.3), ("lightconv", 0.1))
        for seed in (1, 2)
    ]
    base, other = groups(runs)
    found = {one.metric: one for one in compare(base, [other], resamples=200, workers=1)}
    assert list(found) == ["bleu_tok_lc", "a_comet", "chrf"]  # ranked by BLEU, whatever the alphabet says
    pairs = found["a_comet"].pairs
    assert found["a_comet"].word == "better" and [pair.changed > 20 for pair in pairs] == [True, True]
    for pair, ours, theirs in zip(pairs, other.runs, base.runs, strict=True):
        singles = [
            json.loads(Path(run["stages"]["scoring"], "sentences.json").read_text())["a_comet"]
            for run in (theirs, ours)
        ]
        systems = [("baseline", singles[0]), ("run", singles[1])]
        for kind, p in (("bs", pair.bootstrap), ("ar", pair.randomisation)):
            test: Any = PairedTest(systems, {"m": Mean("m", False, {})}, None, test_type=kind, n_samples=200)
            assert test()[1]["m"][1].p_value == p < 0.05
        assert pair.difference == pytest.approx(statistics.fmean(singles[1]) - statistics.fmean(singles[0]))
    low, high = interval(runs[0]["metrics"]["a_comet"] | {"mean": -30.0, "ci": 2.0})
    assert (low, high) == (-32, -28)  # no bound at 0
    assert by_length(runs[0], "a_comet")[0]["score"] == pytest.approx(runs[0]["metrics"]["a_comet"]["score"])
    assert most_changed(base, other, "a_comet")[0]["change"] > 0
    assert meaning(runs[0]["metrics"]["a_comet"]) == (
        "COMET (wmt22-comet-da) of the detokenised text; higher is better"
    )
    assert headline({"a_comet": ENTRY, "ter": METRICS["chrf"] | {"metric": "ter"}}) == "ter"
    alone = [with_comet("transformer", 1, run="alone", metrics={"a_comet": ENTRY})]
    assert headline({"a_comet": ENTRY}) == "a_comet" and ranking(alone).startswith("Ranked by a_comet")


# Its environment


def test_its_lock_has_hashes_and_no_torch() -> None:
    lock = (ROOT / "envs" / "comet.lock").read_text()
    entries = re.findall(r"^([\w.-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.M)
    pins = dict(entries)
    assert len(entries) == len(re.findall(r"^[\w.-]+==", lock, re.M)) > 40 and "://" not in lock
    assert not [name for name in pins if name in ("torch", "triton") or name.startswith("nvidia")]
    wanted = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "envs" / "comet.txt").read_text(), re.M)
    assert wanted and all(pins[name] == number for name, number in wanted)
    assert int(pins["setuptools"].partition(".")[0]) < 81


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COMET model with an encoder of two layers of width 16, and random weights."""
    if comet.version() is None:
        pytest.skip("make comet was not called")
    folder = tmp_path_factory.mktemp("models") / "tiny"
    subprocess.run([comet.PYTHON, "-I", ROOT / "tests/comet_model.py", folder], check=True, capture_output=True)
    return folder


@pytest.mark.nightly
def test_the_real_one_scores_as_comet_itself_does(tiny_model: Path, tmp_path: Path) -> None:
    entry = ENTRY | {"model": "x"}
    before = {path: path.read_bytes() for path in tiny_model.rglob("*") if path.is_file()}
    source = [f"{line} Hund" for line in REFERENCES]
    hypotheses = noisy(REFERENCES, 0.3, 1)
    row, sentences = score(entry, hypotheses, [REFERENCES], 100, Judge(comet.PYTHON, str(tiny_model), source))
    assert "|comet:2.2.7|" in row["signature"] and len(set(sentences)) > 10
    assert {path: path.read_bytes() for path in tiny_model.rglob("*") if path.is_file()} == before
    for name, lines in {"src": source, "hyp": hypotheses, "ref": REFERENCES}.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    # COMET's own command rounds to half precision, and looks for the encoder from the folder where it is called
    command = [comet.PYTHON.parent / "comet-score", "-s", tmp_path / "src", "-t", tmp_path / "hyp"]
    command += ["-r", tmp_path / "ref", "--gpus", "0", "--quiet", "--model", "checkpoints/model.ckpt"]
    theirs = subprocess.run(command, cwd=tiny_model, capture_output=True, text=True, check=True).stdout
    singles = [100 * float(number) for number in re.findall(r"Segment \d+\tscore: (\S+)", theirs)]
    assert sentences == pytest.approx(singles, abs=0.3)
    # Else COMET would read sparsemax as softmax in some models, without a word
    subprocess.run([comet.PYTHON, "-I", "-W", "ignore", "-c", "import pkg_resources"], check=True)


@pytest.mark.nightly
def test_the_real_one_fails_in_a_sentence(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-r", tiny_model, damaged], check=True)
    (damaged / "checkpoints/model.ckpt").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(DataError, match=r"^COMET failed with the model /\S+/damaged: \w+: .+; score.log beside"):
        score(ENTRY, ["a"], [["a"]], 100, Judge(comet.PYTHON, str(damaged), ["x"]))
    assert "Traceback" in capfd.readouterr().err  # for the log


@pytest.mark.nightly
def test_a_whole_run_with_it(tiny_model: Path, fake_fairseq: dict[str, str], tmp_path: Path) -> None:
    words = [*TINY.split(), "runtime.threads=1", of_model(str(tiny_model))]
    arguments = ["--config", "recipe=demo", "model=transformer_tiny,lightconv_tiny", f"overrides={' '.join(words)}"]
    result = run_snakemake(tmp_path, *arguments, env=fake_fairseq | CPU)
    assert result.returncode == 0, result.stderr
    for noise in ("Predicting", "litlogger", "GPU available", "pkg_resources"):
        assert noise not in result.stdout + result.stderr
    (one, other) = json.loads((tmp_path / "results/report/scores.json").read_text())
    assert one["metrics"]["comet"]["score"] == other["metrics"]["comet"]["score"] < 100
    config = yaml.safe_load((tmp_path / "results/runs" / one["run"] / "config.yaml").read_text())
    assert config["scoring"]["metrics"]["comet"]["model"] == str(tiny_model)
    again = run_snakemake(tmp_path, "-n", *arguments, env=fake_fairseq | CPU)
    assert jobs(again) == {}
