"""bleuprint watch and explain: where runs are, read from files; what a call would reuse or compute, and why."""

import dataclasses
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SNAKEMAKE, TINY, run_snakemake

from bleuprint.commands import alone, cli, watch
from bleuprint.config.compose import experiments
from bleuprint.config.stages import STAGES
from bleuprint.files import write_json
from bleuprint.plan.explain import explain
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan

NOTHING = {"stage": "", "files": {}, "parents": {}}  # a seal
TRAIN = '| INFO | train_inner | {"epoch": 3, "update": 2.5, "loss": "4.125", "wps": "900.5", "num_updates": "1500", "wall": "60"}'  # noqa: E501
VALID = '| INFO | valid | {"epoch": 2, "valid_loss": "3.9", "valid_bleu": "21.54", "valid_num_updates": "1200"}'


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(**cli: Any) -> Plan:
    return plan(experiments({"recipe": "demo", **cli}))


def states(running: bool = True) -> list[watch.State]:
    current = json.loads(alone.CURRENT.read_text())
    return [watch.state(run, running) for run in current["runs"]]


def put(plan: Plan, stage: str, which: int, text: str = "", run: int = 0) -> None:
    """Write a log (0) of a stage of a run, or its seal (1)."""
    log = "train.log" if stage == "training" else "a.log"
    folder = Path(plan.runs[run].folder(stage))
    folder.mkdir(parents=True, exist_ok=True)
    if which:
        write_json(folder / "seal.json", NOTHING)
    else:
        (folder / log).write_text(text)


def bleuprint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which has loaded it already."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bleuprint", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    message = f"{ended.value.code}\n" if isinstance(ended.value.code, str) else ""
    status = 1 if message else int(ended.value.code or 0)
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue() + message)


def test_a_run_goes_through_its_stages() -> None:
    demo = planned()
    alone.remember(demo)
    seen = [(states()[0].stage, states()[0].state)]
    for stage in STAGES:
        for which in (0, 1):
            put(demo, stage, which)
            seen.append((states()[0].stage, states()[0].state))
    assert seen == [
        ("corpus", "waiting"),
        ("corpus", "running"),
        ("text", "waiting"),
        ("text", "running"),
        ("training", "waiting"),
        ("training", "running"),
        ("decoding", "waiting"),
        ("decoding", "running"),
        ("scoring", "waiting"),
        ("scoring", "running"),
        ("scoring", "done"),
    ]
    assert states(running=False)[0].state == "done"


def test_of_an_ensemble_the_training_that_is_waited_for_is_shown() -> None:
    made = planned(overrides="decoding.ensemble=[2]")
    alone.remember(made)
    for stage in ("corpus", "text", "training"):
        put(made, stage, 1)
    (one,) = states()
    assert (one.stage, one.state, one.updates) == ("training", "waiting", "")
    other = Path("results/training", made.runs[0].ensemble[0])
    other.mkdir(parents=True)
    (other / "train.log").write_text(f"+ fairseq-train data\n{TRAIN}\n")
    (one,) = states()
    assert (one.stage, one.state, one.updates) == ("training", "running", "1,500")
    write_json(other / "seal.json", NOTHING)
    assert states()[0].stage == "decoding"


def test_a_training_shows_its_figures() -> None:
    demo = planned(seed="1,2")
    alone.remember(demo)
    for stage in ("corpus", "text"):
        put(demo, stage, 1)
    old = TRAIN.replace('"wall": "60"', '"wall": "5000"').replace("2.5", "0.5").replace("1500", "300")
    begin = TRAIN.replace('"wall": "60"', '"wall": "20"').replace("2.5", "1.5").replace("1500", "900")
    session = "+ python -m bleuprint.machine.lease --gpus 0,1 fairseq-train data\nCUDA_VISIBLE_DEVICES=1\n"
    put(demo, "training", 0, f"{session}{old}\n{session}{begin}\n{VALID}\n{TRAIN}\n")
    first, second = states()
    assert vars(first) == {
        "run": demo.runs[0].name,
        "stage": "training",
        "state": "running",
        "epoch": "2.5/8",
        "updates": "1,500",
        "loss": "4.125",
        "bleu": "21.5",
        "words_per_second": "900",
        "left": "03:40",  # 40 s an epoch in this session, whose clock is its own, for 5.5 epochs
        "device": "GPU 1",
    }
    assert (second.stage, second.state, second.updates) == ("training", "waiting", "")
    stopped, never = states(running=False)
    assert (stopped.state, stopped.left, stopped.updates) == ("stopped", "", "1,500")
    assert never.state == "waiting"


def test_a_plain_line_names_the_machine_of_a_training_on_a_cluster() -> None:
    running = watch.State("demo", "training", "running", epoch="2/8", device="on node1")
    assert watch.line(running) == "demo: training running, epoch 2/8, on node1"
    known = dataclasses.replace(running, device="GPU 0 on node1")
    assert watch.line(known) == "demo: training running, epoch 2/8, device GPU 0 on node1"


def test_what_an_earlier_call_or_a_taken_gpu_left_is_waiting() -> None:
    demo = planned()
    alone.remember(demo)
    for stage in ("corpus", "text"):
        put(demo, stage, 1)
    put(demo, "training", 0, f"{TRAIN}\n")
    (run,) = json.loads(alone.CURRENT.read_text())["runs"]
    assert watch.state(run, running=True, since=time.time() + 60).state == "waiting"
    assert watch.state(run, running=True, since=time.time() - 60).state == "running"
    log = Path(demo.runs[0].folder("training"), "train.log")
    os.utime(log, (time.time() - 3600, time.time() - 3600))
    assert watch.state(run, running=True).state == "silent 60 min"
    put(demo, "training", 0, "+ python -m bleuprint.machine.lease\nGPUs 0 are taken (waiting for a free GPU)\n")
    assert watch.state(run, running=True).state == "waiting"


def test_a_gathered_run_is_done_whatever_was_deleted() -> None:
    demo = planned()
    alone.remember(demo)
    Path("results/runs", demo.runs[0].name).mkdir(parents=True)
    Path("results/runs", demo.runs[0].name, "scores.json").touch()
    assert states()[0].state == "done"
    assert "computed" not in explain(demo)


@pytest.mark.slow
def test_a_file_that_is_no_list_of_runs_ends_quietly() -> None:
    alone.CURRENT.parent.mkdir()
    alone.CURRENT.write_text("{half")
    assert bleuprint("watch").returncode == 0


def test_the_end_of_a_long_log_is_enough() -> None:
    demo = planned()
    alone.remember(demo)
    for stage in ("corpus", "text"):
        put(demo, stage, 1)
    put(demo, "training", 0, "CUDA_VISIBLE_DEVICES=3\n" + f"{'x' * 99}\n" * 5000 + TRAIN + "\n")
    (one,) = states()
    assert (one.updates, one.device) == ("1,500", "GPU 3")
    put(demo, "training", 0, f"{TRAIN}\n| train_inner | {{half a li")
    assert states()[0].device == "CPU"


@pytest.mark.slow
def test_with_no_runs_and_after_them() -> None:
    none = bleuprint("watch")
    assert none.returncode == 0 and "no runs in results/ here yet" in none.stdout
    demo = planned()
    alone.remember(demo)
    for stage in ("corpus", "text"):
        put(demo, stage, 1)
    put(demo, "training", 0, f"{TRAIN}\n")
    current = json.loads(alone.CURRENT.read_text())
    alone.CURRENT.write_text(json.dumps(current | {"process": 2**22 + 1}))  # no such process
    after = bleuprint("watch")
    assert after.returncode == 0
    name = demo.runs[0].name
    assert after.stdout == f"{name}: training stopped, epoch 2.5/8, updates 1,500, loss 4.125, device CPU\n"
    assert "the same command resumes what was stopped" in after.stderr


def test_plain_lines_follow_a_real_call(fake_fairseq: dict[str, str], tmp_path: Path) -> None:
    """Started beside Snakemake, watch sees the stages pass and ends with it."""
    command = [*SNAKEMAKE, "scoring", "--config", "recipe=demo", f"overrides={TINY}"]
    env = os.environ | fake_fairseq | {"SLEEP": "1.5", "PYTHONPATH": str(ROOT / "workflow")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as call:
        deadline = time.monotonic() + 60
        while not alone.CURRENT.exists():
            assert time.monotonic() < deadline and call.poll() is None
            time.sleep(0.1)
        watching = [sys.executable, "-m", "bleuprint.commands.cli", "watch", "--interval", "0.2"]
        seen = subprocess.run(watching, env=env, capture_output=True, text=True)
        shown = call.communicate(timeout=120)[1]
        assert call.returncode == 0 and "reused" not in shown and "computed" not in shown  # only a dry run says it
    assert "training running" in seen.stdout and "decoding running" in seen.stdout
    assert seen.stdout.splitlines()[-1].endswith(": scoring done, epoch 1.0/8, updates 5, device CPU")


@pytest.mark.slow
def test_a_table_on_a_terminal_and_ctrl_c() -> None:
    demo = planned(seed="1,2")
    alone.remember(demo)
    for stage in ("corpus", "text"):
        put(demo, stage, 1)
    put(demo, "training", 0, f"{TRAIN}\n")
    current = json.loads(alone.CURRENT.read_text())
    alone.CURRENT.write_text(json.dumps(current | {"host": "another"}))  # counts as going on
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    command = [sys.executable, "-m", "bleuprint.commands.cli", "watch", "--interval", "0.1"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "TERM": "xterm-256color"}
    env.pop("COLUMNS", None)  # would count more than the terminal's width
    with subprocess.Popen(
        command,
        env=env,
        stdout=follower,
        stderr=follower,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        os.close(follower)
        shown = b""
        while shown.count(b"words/s") < 2:
            shown += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    os.close(leader)
    text = shown.decode()
    assert "1,500" in text and demo.runs[1].name in text and "Traceback" not in text


def test_explain_names_what_is_computed_and_why() -> None:
    demo = planned(model="transformer_tiny,lightconv_tiny", seed="1,2")
    text = explain(demo)
    assert text.count("computed, shared by 4") == 8  # corpus and text of four runs
    corpus, *_ = [line for line in text.splitlines() if line.startswith("corpus/")]
    assert corpus.endswith(": the first of its kind")
    trainings = [line for line in text.splitlines() if line.startswith("training/")]
    assert len(trainings) == 4
    assert trainings[1].endswith(f"unlike {demo.runs[0].keys['training']}: seed=2 (there 1)")
    assert "model.arch=lightconv_iwslt_de_en (there transformer_iwslt_de_en)" in trainings[2]
    decodings = [line for line in text.splitlines() if line.startswith("decoding/")]
    assert decodings[1].endswith("made from another training")


def test_explain_follows_what_is_made_anew_and_names_twins() -> None:
    demo = planned()
    for stage in STAGES:
        put(demo, stage, 1)
    assert "computed" not in explain(demo)
    Path(demo.runs[0].folder("training"), "seal.json").unlink()
    Path(demo.runs[0].folder("decoding"), "config.yaml").write_text("beam: 5\n")
    lines = explain(demo).splitlines()
    assert lines[2].split()[1:] == ["reused", "reused", "computed", "computed", "computed"]
    again = "computed again, after the stage before it or because its rule is forced"
    assert f"decoding/{demo.runs[0].keys['decoding']}: {again}" in lines
    training = demo.stages["training"][demo.runs[0].keys["training"]]
    twin = Path("results/training/other-name-12345678")
    twin.mkdir()
    (twin / "config.yaml").write_text(json.dumps(training.slice))
    write_json(twin / "seal.json", NOTHING)
    assert f"training/{training.key}: the same keys as {twin.name}, under another name" in explain(demo)


def test_a_dry_run_explains_itself(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That no other call does is in the test of watch beside a real call."""
    config = ["--config", "recipe=demo"]
    again = run_snakemake(tiny_run, "-n", *config, f"overrides={TINY}").stderr
    assert again.count("reused") == 5 and "computed" not in again
    forced = run_snakemake(tiny_run, "-n", "-R", "translate", "--until", "translate", *config, f"overrides={TINY}")
    assert forced.stderr.count("reused") == 4 and forced.stderr.count("computed") == 2
    assert "its rule is forced" in forced.stderr
    # From another folder
    beam = run_snakemake(tiny_run.parent, "-n", "-d", str(tiny_run), *config, f"overrides={TINY} decoding.beam=8")
    assert "decoding.beam=8 (there 5)" in beam.stderr and "made from another decoding" in beam.stderr
    assert beam.stderr.count("reused") == 3 and beam.stderr.count("computed") == 2
    monkeypatch.chdir(tiny_run)
    said = bleuprint("explain", "recipe=demo", f"overrides={TINY} decoding.beam=8").stdout
    assert "decoding.beam=8 (there 5)" in said and said.strip() in beam.stderr


def test_wrong_words_end_in_one_line() -> None:
    wrong = bleuprint("explain", "model=lightcnv")
    assert wrong.returncode == 1 and wrong.stderr.startswith("bleuprint: model=lightcnv: no such model")
    assert (
        bleuprint("explain", "lightconv").stderr
        == "bleuprint: lightconv: not KEY=VALUE; did you mean recipe=lightconv or model=lightconv?\n"
    )
