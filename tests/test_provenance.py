"""A run's record: what it holds, and what verify, replay and pack promise. fairseq is a stand-in here."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CPU, ROOT, run_snakemake, stand_ins
from made_up import make_run

from bleuprint.commands import cli, verify
from bleuprint.commands.pack import pack
from bleuprint.commands.replay import again
from bleuprint.commands.verify import problems
from bleuprint.config.local_text import _content_hash
from bleuprint.files import DataError, read_json, sha256, write_json
from bleuprint.machine import environment
from bleuprint.machine.environment import facts, nvidia, revision
from bleuprint.record.provenance import find, job, read
from bleuprint.record.same import compared, promise
from bleuprint.record.seal import seal


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *words], check=True, capture_output=True)


# What a stage runs on


def test_the_commit_is_that_of_a_checkout_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert revision(tmp_path) == (None, None)
    (tmp_path / "code").mkdir()
    Path("code/file").write_text("one")
    git("init", "-q")
    assert revision(tmp_path) == (None, None)  # no commit yet
    git("add", ".")
    git("commit", "-q", "-m", "x")
    commit, dirty = revision(tmp_path)
    assert commit is not None and len(commit) == 40 and dirty is False
    assert revision(tmp_path / "code") == (None, None)  # somebody else's checkout around it
    Path("untracked").write_text("")
    assert revision(tmp_path) == (commit, False)
    Path("code/file").write_text("two")
    assert revision(tmp_path) == (commit, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(tmp_path) == (None, None)  # no git


def test_gpus_are_named_by_the_kernel_or_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "NVIDIA", tmp_path / "nvidia")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    assert nvidia() == ([], None)
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.86.15'\necho 'NVIDIA H200, 570.86.15'\n")
    assert nvidia() == (["NVIDIA H200", "NVIDIA H200"], "570.86.15")
    for number in (0, 1):
        card = tmp_path / f"nvidia/gpus/0000:0{number}:00.0/information"
        card.parent.mkdir(parents=True)
        card.write_text(f"Model: \t\t NVIDIA A{number}\nIRQ:   \t\t 5\n")
    module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (a@b)\n"
    (tmp_path / "nvidia/version").write_text(module)
    assert nvidia() == (["NVIDIA A0", "NVIDIA A1"], "550.54.15")


def test_facts_name_threads_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = facts()
    assert found["threads"] == 3
    assert {"bleuprint", "torch", "ve-fairseq", "sacrebleu", "sacremoses"} <= set(found["packages"])
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert facts()["threads"] is None


# The record, and verify


def test_a_record_says_what_ran_and_what_came_out() -> None:
    run = make_run()
    known = read(find(run["run"]))
    assert known["run"] == run["run"]
    (training,) = known["stages"]["training"]["jobs"]
    # the seconds are fairseq's, not Snakemake's 12.5, which know the last session only
    log = f"{run['stages']['training']}/train.log"
    assert training == {"log": log, "commands": ["fairseq-train"], "seconds": 100, "memory": 300}
    assert [job["memory"] for job in known["stages"]["text"]["jobs"]] == [None] * 5
    hypotheses = known["stages"]["decoding"]["files"]["hypotheses.txt"]
    path = Path(run["stages"]["decoding"], "hypotheses.txt")
    assert hypotheses == {"sha256": sha256(path), "bytes": path.stat().st_size}
    assert set(known["files"]) == {"config.yaml", "commands.sh", "scores.json"}
    assert known["stages"]["training"]["environment"]["processor"] == "A CPU"
    commands = Path("results/runs", run["run"], "commands.sh").read_text()
    assert f"# {log}: 100.0 s, 300 MiB\nfairseq-train\n" in commands


def test_a_deleted_log_costs_the_record_its_commands_only() -> None:
    run = make_run()
    log = Path(run["stages"]["text"], "tokenise.log")
    log.unlink(missing_ok=True)
    assert job(log)["commands"] == []


def checked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = verify.verify(list(words))
    return status, capsys.readouterr().out


def test_verify_names_what_changed_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    run, other = make_run(), make_run("lightconv")
    status, said = checked(capsys)
    assert status == 0 and said.count("files are as recorded") == 2
    hypotheses = Path(run["stages"]["decoding"], "hypotheses.txt")
    content = hypotheses.read_bytes()
    hypotheses.write_bytes(b"X" + content[1:])
    status, said = checked(capsys)
    assert status == 1
    assert f"changed  {hypotheses}: sha256 {sha256(hypotheses)[:12]}…, recorded " in said
    assert f"{other['run']}: all" in said and said.count("changed  ") == 1
    hypotheses.write_bytes(content + b"\n")
    assert f"changed  {hypotheses}: {len(content) + 1:,} bytes, recorded " in checked(capsys)[1]
    hypotheses.unlink()
    assert f"missing  {hypotheses}\n" in checked(capsys, "demo-transformer")[1]
    hypotheses.write_bytes(content)
    assert checked(capsys)[0] == 0
    scores = Path("results/runs", run["run"], "scores.json")
    scores.write_text(scores.read_text().replace('"score": ', '"score": 9'))
    status, said = checked(capsys, run["run"])
    assert status == 1 and f"changed  {scores}: " in said
    scores.unlink()
    assert f"missing  {scores}\n" in checked(capsys, run["run"])[1]


def test_what_was_never_recorded_may_go_and_a_lost_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    training = Path(run["stages"]["training"])
    (training / "train.log").unlink()
    assert checked(capsys)[0] == 0
    training.rename("elsewhere")
    status, said = checked(capsys)
    assert status == 1 and f"missing  {training}, with all its 1 files" in said


def test_another_environment_is_a_note_and_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = find(make_run()["run"]) / "provenance.json"
    known = read_json(path)  # of a training on torch 2.13.0 and "A CPU"
    known["stages"]["training"]["environment"]["threads"] = 2  # as any job has its own, and this process none
    write_json(path, known)
    today: dict[str, Any] = {"processor": "A CPU", "cores": 2, "threads": 5, "packages": {"torch": "9.9"}}
    monkeypatch.setattr(verify, "facts", lambda: today)
    status, said = checked(capsys)
    assert status == 0
    assert said.splitlines()[1:] == ["  note: today's torch 9.9, recorded 2.13.0 (training)"]


def test_a_run_is_meant_by_name_folder_or_part() -> None:
    run, other = make_run(), make_run("transformer_tiny")
    assert find(run["run"]) == find(f"results/runs/{run['run']}") == Path("results/runs", run["run"])
    assert find("tiny") == Path("results/runs", other["run"])
    with pytest.raises(DataError, match="transformer names 2 runs"):
        find("transformer")
    with pytest.raises(DataError, match="lightconv names no run; results/runs has: demo-transformer-seed1, "):
        find("lightconv")


def test_a_run_without_a_record_or_of_another_version_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    path = find(make_run()["run"]) / "provenance.json"
    write_json(path, read_json(path) | {"format": 0})
    status, said = checked(capsys)
    assert status == 1 and "another version of bleuprint" in said
    path.write_text("{")
    assert "is damaged" in checked(capsys)[1]
    path.unlink()
    assert "with -R gather_run added" in checked(capsys)[1]


# pack


def packable(**changes: Any) -> dict[str, Any]:
    """Make up a run with all files that the archive takes."""
    run = make_run(**changes)
    for folder in run["stages"].values():
        Path(folder, "config.yaml").write_text("a: 1\n")
    return run


def test_packed_twice_is_the_same_bytes_and_holds_what_is_promised(tmp_path: Path) -> None:
    run = packable()
    one = pack(run["run"], None, checkpoint=False)
    assert one == Path(f"{run['run']}.tar.gz")
    os.utime(Path(run["stages"]["decoding"], "hypotheses.txt"), (1, 1))
    two = pack(run["run"], tmp_path / "other.tar.gz", checkpoint=False)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4)  # gzip's time of packing
    with tarfile.open(one) as archive:
        names = [name.removeprefix(f"{run['run']}/") for name in archive.getnames()]
        readme = archive.extractfile(f"{run['run']}/README.txt")
        assert readme is not None
        text = readme.read().decode()
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}
    wanted = {"provenance.json", "scores.json", "hypotheses.txt", "config.yaml", "commands.sh", "train.log"}
    assert wanted < set(names) and names == sorted(names)
    assert not [name for name in names if "train." in name and name != "train.log"]  # no corpus
    metric = run["metrics"]["bleu_tok_lc"]
    assert f"bleu_tok_lc {metric['score']:.2f}  {metric['signature']}" in text and "licence" in text


def test_the_model_is_packed_when_asked_for() -> None:
    run = packable()
    with pytest.raises(DataError, match=r"checkpoint\.pt does not exist any more"):
        pack(run["run"], None, checkpoint=True)
    Path(run["stages"]["training"], "checkpoint.pt").write_text("model")
    with tarfile.open(pack(run["run"], None, checkpoint=True)) as archive:
        assert f"{run['run']}/checkpoint.pt" in archive.getnames()


def test_nothing_is_packed_that_is_not_as_recorded() -> None:
    run = packable()
    path = Path(run["stages"]["decoding"], "hypotheses.txt")
    path.write_bytes(b"X" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"hypotheses\.txt is not what was recorded; bleuprint verify"):
        pack(run["run"], None, checkpoint=False)
    assert not list(Path().glob("*.tar.gz*"))


def with_ensemble() -> tuple[dict[str, Any], str]:
    """Make up a run of two models; return it and the folder of the other one's training."""
    other = packable(seed=2)["stages"]["training"]
    Path(other, "checkpoint.pt").write_text("the other model")
    seal(Path(other))
    run = packable(ensemble=[other])
    Path(run["stages"]["training"], "checkpoint.pt").write_text("model")
    return packable(ensemble=[other]), other


def test_the_other_models_of_an_ensemble_are_recorded_verified_and_packed(capsys: pytest.CaptureFixture[str]) -> None:
    run, other = with_ensemble()
    (known,) = read(find(run["run"]))["ensemble"]
    assert known["folder"] == other and {"checkpoint.pt", "metrics.jsonl"} <= set(known["files"])
    assert f"# {other}/train.log" in Path("results/runs", run["run"], "commands.sh").read_text()
    for checkpoint in (False, True):
        with tarfile.open(pack(run["run"], None, checkpoint)) as archive:
            name = f"{run['run']}/ensemble/{Path(other).name}"
            assert f"{name}.yaml" in archive.getnames() and (f"{name}.pt" in archive.getnames()) == checkpoint
    capsys.readouterr()
    Path(other, "checkpoint.pt").write_text("another model")
    wrong = problems(find(run["run"]), read(find(run["run"])))
    assert [line for line in wrong if line.startswith(f"changed  {other}/checkpoint.pt: ")]


def test_a_replay_compares_all_models_of_an_ensemble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run, other = with_ensemble()
    known = read(find(run["run"]))
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    with_ensemble()
    lines = compared(known, tmp_path, tmp_path / "new")[0]
    assert "model: the same bytes" in lines and f"model of the ensemble, {Path(other).name}: the same bytes" in lines


# replay


def bleuprint(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": str(ROOT / "workflow"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "bleuprint.commands.cli", *words]
    return subprocess.run(command, env=os.environ | env | path, capture_output=True, text=True)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str]]:
    """`command(*words)` calls bleuprint in this process; its exit status or last words, and its output."""

    def call(*words: str) -> tuple[Any, str]:
        _content_hash.cache_clear()
        monkeypatch.setattr("sys.argv", ["bleuprint", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a sweep of two groups on local text named by a relative path, with fairseq's stand-ins."""
    folder = tmp_path_factory.mktemp("computed")
    (folder / "my text").mkdir()
    for language in ("fr", "en"):
        (folder / f"my text/all.{language}").write_text("".join(f"{language} {n}\n" for n in range(200)))
    overrides = [
        "corpus.train='my text/all'",
        "text=iwslt14",
        "text.merges=50",
        "scoring=bleu_chrf",
        "decoding.beam=4,5",
    ]
    overrides.append("report.baseline='decoding.beam=5'")  # of which a replay of one run has none
    config = ["recipe=demo", "corpus=local", "source=fr", "target=en", f"overrides={json.dumps(overrides)}"]
    result = run_snakemake(folder, "--config", *config, env=stand_ins(folder) | CPU)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def finished(computed: Path, fake_fairseq: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return the environment with fairseq's stand-ins in a folder in which that sweep has run."""
    shutil.copytree(computed, tmp_path, symlinks=True, dirs_exist_ok=True)
    return fake_fairseq


def test_a_replay_runs_in_a_fresh_folder_goes_on_when_stopped_and_compares(
    finished: dict[str, str], command: Callable[..., tuple[Any, str]]
) -> None:
    (folder,) = [path.parent for path in Path("results/runs").glob("*/config.yaml") if "beam: 4" in path.read_text()]
    before = sorted(Path("results").rglob("*"))
    stopped = bleuprint("replay", folder.name, env=finished | {"FAIL": "1"})
    assert stopped.returncode == 1 and stopped.stderr.strip().endswith("the same command resumes it.")
    done = bleuprint("replay", folder.name, env=finished)
    assert done.returncode == 0, done.stderr
    assert sorted(Path("results").rglob("*")) == before
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("bleu_tok_lc", "chrf", "sacrebleu"))]
    assert [row[-1] for row in rows] == ["same"] * 3
    for sentence in ("text: the same bytes", "model: the same bytes", "hypotheses: the same bytes"):
        assert sentence in done.stdout
    assert "without a GPU: that was the case here." in done.stdout
    assert "holds a finished replay of that run" in command("replay", folder.name)[0]
    assert "results is not empty; name a new folder" in command("replay", folder.name, "--folder", "results")[0]
    # What came out otherwise is said, and where it begins
    known, new = read(folder), Path("replays", folder.name)
    scores = new / folder / "scores.json"
    found = read_json(scores)
    found["metrics"]["chrf"]["score"] += 1e-9
    write_json(scores, found)
    record = read(new / folder)
    record["stages"]["text"]["files"]["codes"]["sha256"] = "other"
    write_json(new / folder / "provenance.json", record)
    lines, same = compared(known, Path(), new)
    assert not same and "DIFFERENT" in "".join(line for line in "\n".join(lines).splitlines() if "chrf" in line)
    assert f"text: differs, first in {known['stages']['text']['folder']}/codes" in lines


def test_a_run_that_would_be_another_today_is_not_replayed(
    finished: dict[str, str], command: Callable[..., tuple[Any, str]]
) -> None:
    folder = sorted(Path("results/runs").iterdir())[0]
    path = folder / "provenance.json"
    known = read_json(path)
    known["stages"]["training"]["slice"]["training"]["lr"] = 5
    known["stages"]["training"]["environment"] |= {"commit": "c" * 40, "dirty": True}
    write_json(path, known)
    refused, _ = command("replay", folder.name)
    assert refused == (
        f"bleuprint: {folder.name} would be another run today: training.lr=0.003 (recorded 5); check out the commit "
        "that made it, cccccccccccc, which had uncommitted changes, and replay it there."
    )
    Path("my text/all.fr").write_text("other\n" * 200)
    refused, _ = command("replay", folder.name)
    assert "corpus.files.train.fr=" in refused and not Path("replays").exists()
    known["asked"]["words"].append("model=gone")
    write_json(path, known)
    assert "is refused by today's config: model=gone: no such model" in command("replay", folder.name)[0]
    # A folder whose keys were changed is not what its name says
    stage = Path(known["stages"]["training"]["folder"])
    (stage / "config.yaml").write_text((stage / "config.yaml").read_text().replace("seed: 1", "seed: 2"))
    status, said = command("verify", folder.name)
    assert status == 1
    assert f"changed  {stage}/config.yaml: its keys belong to a folder that ends in" in said
    (folder / "scores.json").write_text("{}")
    assert "scores.json is not what was recorded" in command("replay", folder.name)[0]


def record_of(words: list[str], **environment: Any) -> dict[str, Any]:
    stages = {"corpus": {"folder": "results/corpus/x"}, "training": {"environment": environment}}
    return {"run": "r", "asked": {"words": words}, "stages": stages}


def test_a_replay_asks_for_the_same_threads_and_no_network(tmp_path: Path) -> None:
    words = ["corpus=multi30k_de_en", 'corpus.sources=["here","https://there/x"]', "runtime.mirror=mine"]
    found = again(record_of(words, threads=3), tmp_path)
    assert found[:3] == words
    assert found[3:] == [
        f"corpus.sources=[{tmp_path}/here,'https://there/x']",
        "report.baseline=null",
        "runtime.threads=3",
        f'runtime.mirror="{tmp_path}/mine"',
    ]
    (tmp_path / "results/corpus/x/downloads").mkdir(parents=True)
    found = again(record_of(words), tmp_path)
    assert found[-1] == f'runtime.mirror="{tmp_path}/results/corpus/x/downloads"' and "runtime.threads=3" not in found


def test_models_are_compared_tensor_by_tensor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = make_run()
    name = f"{run['stages']['training']}/checkpoint.pt"
    torch.save({"model": {"w": torch.ones(3), "b": torch.ones(2)}, "when": 1}, name)
    run = make_run()
    known = read(find(run["run"]))
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    make_run()
    torch.save({"model": {"w": torch.ones(3), "b": torch.ones(2)}, "when": 2}, name)
    make_run()
    assert "model: all 2 tensors equal, bit for bit" in compared(known, tmp_path, tmp_path / "new")[0]
    torch.save({"model": {"w": torch.ones(3), "b": torch.ones(2) + 1e-7}, "when": 2}, name)
    make_run()
    assert "model: 1 of 2 tensors differ" in compared(known, tmp_path, tmp_path / "new")[0]


def test_what_is_promised_depends_on_threads_versions_and_device() -> None:
    def stages(command: str, **environment: Any) -> dict[str, Any]:
        one = {"environment": environment, "jobs": [{"commands": [command]}]}
        return {"stages": {"training": one, "decoding": one}}

    cpu = stages("fairseq-train data --cpu", threads=1, commit="a")
    assert promise(cpu, stages("fairseq-train data --cpu", threads=1, commit="b")).endswith("that was the case here.")
    other = stages("fairseq-train data", threads=2, packages={"torch": "9"})
    assert promise(cpu, other).endswith("Not the case here: threads 1 → 2, torch unknown → 9, a GPU.")
