"""bench/: what the measurements read, count and refuse; with stand-ins for all that takes long."""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from bleuprint.training.save_dir import read_options

sys.path.append(str(ROOT / "bench"))
frame, joey, run, train, wheels = map(importlib.import_module, ("frame", "joey", "run", "train", "wheels"))
gpu_measures, gpu_plan = map(importlib.import_module, ("gpu_measures", "gpu_plan"))

TRAIN = '2026 | INFO | train_inner | {"epoch": 1, "loss": "9.1", "wpb": "3580", "num_updates": "10", "lr": "1e-05"}'
VALID = '2026 | INFO | valid | {"epoch": 1, "valid_loss": "%s", "valid_num_updates": "%d", "valid_bleu": null}'


def says(*lines: str, pause: float = 0.0, then: str = "") -> list[str]:
    """A command that prints these lines."""
    body = (
        f"import sys, time\nfor line in {list(lines)!r}:\n    print(line, flush=True)\n    time.sleep({pause})\n{then}"
    )
    return [sys.executable, "-c", body]


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=os.environ | environment, cwd=ROOT, capture_output=True, text=True)


def test_target_tokens_of_an_update_are_read_from_both_toolkits() -> None:
    assert train.tokens(TRAIN) == 3580
    assert train.tokens("joeynmt update: 1234") == 1234
    assert train.tokens("2026 | INFO | train | {}") is None
    assert train.tokens(VALID % ("5.0", 10)) is None


@pytest.mark.alone
def test_a_training_is_counted_only_in_its_turns(tmp_path: Path) -> None:
    training = train.Training(says(*["joeynmt update: 10"] * 1000, pause=0.05), tmp_path / "run")
    training.start()
    try:
        training.turn(0.3)
        time.sleep(0.7)
        training.turn(0.3)
    finally:
        training.send(9)
    assert 0.6 <= training.seconds < 0.9
    assert training.tokens == 10 * training.updates
    assert 6 <= training.updates <= 16  # 12 and what a busy machine adds or takes; 26 had it not stood still


def test_a_training_that_ends_too_early_ends_the_benchmark_with_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="run ended before it was measured"):
        train.Training(says("no such flag"), tmp_path / "run").start()
    assert "no such flag" in capsys.readouterr().err


def test_joeynmts_batches_by_length_are_those_that_its_sampler_makes() -> None:
    pairs = [("a " * (n * 37 % 50 + 1), "b " * (n * 53 % 60 + 1)) for n in range(300)]
    ordered = joey.batched(pairs, 400)
    assert sorted(ordered) == sorted(pairs)
    longest, sizes, waste = 0, [0], []
    for pair in ordered:  # its TokenBatchSampler
        length = max(len(side.split()) for side in pair) + 1
        longest, sizes[-1] = max(longest, length), sizes[-1] + 1
        waste.append(longest - length)
        if longest * sizes[-1] >= 400:
            longest = 0
            sizes.append(0)
    assert max(waste[: -sizes[-1] or None]) < 25  # of up to 60 in batches of any sentences
    assert ordered[: sizes[0]] != sorted(pairs)[: sizes[0]]


def test_parts_are_chosen_and_the_others_figures_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    old = {"train": {"date": "2020-01-01", "machine": "old", "seconds": 1.0, "figures": {"speed": 7.0}}}
    results.write_text(json.dumps(old))
    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setattr(frame, "bench_frame", lambda folder, archive: {"plan, s": 1.25})
    monkeypatch.setattr(sys, "argv", ["run.py", "frame", "text", "--archive", str(tmp_path / "none.tgz")])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    run.main()
    found = json.loads(results.read_text())
    assert found["train"] == old["train"]
    assert found["frame"]["figures"] == {"plan, s": 1.25}
    assert found["frame"]["date"] > "2026"
    assert set(found) == {"train", "frame"}
    said = capsys.readouterr().out
    assert "text left out; name an archive with --archive" in said
    assert "| speed" in said and "| plan, s" in said
    assert "| plan, s" in (tmp_path / "results.md").read_text()


def test_a_part_that_is_terminated_ends_what_it_has_started(tmp_path: Path) -> None:
    part = "def bench_frame(*_):\n    try:\n        print('begun', flush=True)\n        time.sleep(60)\n    finally:\n"
    code = f"import sys, time, types\n{part}        print('ended')\nsys.path.append('bench')\n"
    code += "sys.modules['frame'] = types.SimpleNamespace(bench_frame=bench_frame)\nsys.argv[1:] = ['frame']\n"
    code += "import run\nrun.main()"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "begun\n":
            assert process.poll() is None
        process.terminate()
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 143


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    result = call("bench/run.py", "trian")
    assert result.returncode == 2
    assert "no such part: trian; there are text, report, train" in result.stderr


def test_the_committed_figures_are_of_known_parts_and_dated() -> None:
    for part, found in json.loads((ROOT / "bench" / "results.json").read_text()).items():
        assert part in (*run.ALL, "text_scale")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
        assert all(isinstance(figure, float) for figure in found["figures"].values())


def test_every_package_for_the_gpu_is_in_the_lock_with_its_hashes() -> None:
    pieces = wheels.pieces()
    names = set().union(*pieces.values())
    found = wheels.locked((ROOT / "envs" / "requirements.lock").read_text(), names).splitlines()
    assert len(found) == len(names) == sum(map(len, pieces.values())) > 20
    assert all(re.match(r"[\w-]+==\S+ +--hash=sha256:", line) for line in found)
    with pytest.raises(SystemExit, match="has no nonesuch"):
        wheels.locked("numpy==1 \\\n    --hash=sha256:0\n", {"nonesuch"})


@pytest.mark.slow
def test_without_a_gpu_it_refuses_in_one_sentence() -> None:
    result = call("bench/gpu.py", CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 1
    assert re.fullmatch(r"bleuprint: torch \S+ sees no GPU here; .*--device cpu\.\n", result.stderr)


@pytest.fixture
def place(tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()
    return gpu_measures.Place(tmp_path, tmp_path / "data", cpu=False)


def instead(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr(gpu_measures, "training", lambda *_, **__: command)


AS_IT_IS = gpu_measures.Setting({}, {})


def test_bf16_is_bleuprints_and_no_flag_of_fairseq(place: Any) -> None:
    """fairseq's --bf16 means a TPU; that of training.bf16 is read by the plugin from the --save-dir."""
    experiment, save_dir = gpu_plan.recipe("transformer", cpu=True), place.folder / "save"
    settings = gpu_plan.settings(experiment, cpu=False)
    assert {"fp16", "bf16", "bf16, ×4"} < set(settings)
    for name, setting in settings.items():
        command = gpu_measures.training(experiment, setting, place, save_dir)
        assert "--bf16" not in command and ("--fp16" in command) == name.startswith("fp16")
        assert read_options(save_dir).bf16 == name.startswith("bf16")


def test_all_is_loaded_once_before_the_clock_starts(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    """Also where that fails: the measurement then says why."""
    loaded = place.folder / "loaded"
    instead(monkeypatch, says(then="sys.exit(1)"))
    monkeypatch.setattr(gpu_measures, "ENGINE", f"open({str(loaded)!r}, 'w')")
    gpu_measures.load_once(gpu_plan.recipe("transformer", cpu=True), place)
    assert loaded.exists()


def test_speed_is_counted_between_lines_of_the_log(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    instead(monkeypatch, says("start", *[TRAIN] * 8, pause=0.1))
    found = gpu_measures.speed(None, AS_IT_IS, place, 20.0)
    assert found["target tokens/s"] == pytest.approx(3580 * found["updates/s"])
    assert 50 < found["updates/s"] <= 101  # ten updates in each tenth of a second


def test_the_clock_of_a_curve_begins_with_the_first_epoch(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    lines = ["Start iterating over samples", *[TRAIN] * 2, VALID % ("6.0", 20), *[TRAIN] * 2, VALID % ("5.0", 40)]
    instead(monkeypatch, says(*lines, pause=0.05))
    points = gpu_measures.curve(None, AS_IT_IS, place, place.folder / "save", 20.0)
    assert [(point.updates, point.tokens, point.loss) for point in points] == [(20, 71600, 6.0), (40, 143200, 5.0)]
    assert 0.1 < points[0].seconds < points[1].seconds
    assert gpu_measures.reached(points, 5.5).updates == 40


def test_what_fails_or_takes_too_long_gives_its_reason(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    instead(monkeypatch, says("RuntimeError: CUDA error", then="sys.exit(1)"))
    with pytest.raises(gpu_measures.Failed, match="RuntimeError: CUDA error"):
        gpu_measures.speed(None, AS_IT_IS, place, 20.0)
    instead(monkeypatch, says("start", pause=60))
    began = time.monotonic()
    with pytest.raises(gpu_measures.Failed, match="no validation in 1 s"):
        gpu_measures.curve(None, AS_IT_IS, place, place.folder / "save", 1.0)
    assert time.monotonic() - began < 10


def test_decoding_wants_every_sentence(place: Any) -> None:
    (place.data / "test.en").write_text("a house\nthe cat sat on the mat\n")
    lines = [
        "H-1\t-0.2\tthe cat sat on the mat",
        "H-0\t-0.1\ta house",
        "x | Translated 2 sentences (8 tokens) in 0.5s (4 s)",
    ]
    found = gpu_measures.decode(says(*lines), place, 20.0)
    assert found["sentences/s without start"] == 4.0
    assert found["BLEU, tokenised"] == pytest.approx(100)
    with pytest.raises(gpu_measures.Failed, match="1 of 2 sentences"):
        gpu_measures.decode(says(*lines[1:]), place, 20.0)


def test_the_table_compares_with_the_flags_as_they_are_and_says_what_is_missing() -> None:
    report = gpu_plan.Report({"device": "Some GPU"}, minutes=10)
    report.add("training, fp16", {"target tokens/s": 3000.0}, {"target tokens/s": 1000.0})
    report.add("decoding, fp16", {"BLEU, tokenised": 0.0}, {"BLEU, tokenised": 0.0})
    assert report.attempt("decoding", 1.0, None) is None
    table = report.table()
    assert "device Some GPU" in table
    assert re.search(r"\| training, fp16 +\| +3,000.00 \| target tokens/s +\| +3.00 \|", table)
    assert "not measured: no time was left" in table


def test_times_to_a_loss_are_those_to_one_that_both_reach(monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    point = gpu_measures.Point
    curves = {
        False: [point(10, 100, 1e5, 6.0), point(20, 200, 2e5, 5.5)],
        True: [point(4, 25, 1e5, 5.8), point(8, 50, 2e5, 5.4)],
    }
    monkeypatch.setattr(gpu_plan, "curve", lambda e, way, *_: curves["fp16" in way.flags])
    report = gpu_plan.Report({}, minutes=10)
    gpu_plan.losses(report, place, "transformer", gpu_plan.recipe("transformer", False), "fp16, ×4", 1.0)
    rows = [(row["unit"], row["value"], row.get("factor")) for row in report.rows]
    assert rows == [
        *(("s", 20, None), ("updates", 200, None), ("target tokens", 2e5, None)),
        *(("s", 8, 0.4), ("updates", 50, 0.25), ("target tokens", 2e5, 1.0)),
    ]
    assert "validation loss 5.500" in report.rows[0]["measured"]
