"""Snakemake's side: what is planned, what runs again, how wrong calls end. fairseq is a stand-in here."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import CPU, ROOT, SNAKEMAKE, TINY, Snakemake, jobs

from bleuprint.commands.call import after_success
from bleuprint.commands.called import cores
from bleuprint.config.compose import experiments
from bleuprint.plan.explain import explain
from bleuprint.plan.keys import plan

RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
STAGES = ["raw_text", "tokenise", "check_text", "learn_bpe", "apply_bpe", "binarise"]
STAGES += ["train", "translate", "score"]
AFTER_TEXT = ["train", "translate", "score", "gather_run", "write_report", "all"]
ALL = dict.fromkeys([*STAGES[:6], *AFTER_TEXT], 1)


def demo(*config: str, overrides: str = "") -> list[str]:
    return ["--config", "recipe=demo", f"overrides={TINY} {overrides}", *config]


@pytest.fixture
def finished(tiny_run: Path, snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path) -> Snakemake:
    """Return Snakemake for a folder in which the demo has run."""
    shutil.copytree(tiny_run, tmp_path, symlinks=True, dirs_exist_ok=True)
    return snakemake


@pytest.fixture
def prepared(tiny_text: Path, snakemake: Snakemake, tmp_path: Path) -> Snakemake:
    """Return Snakemake for a folder in which the demo's text stage has run."""
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    return snakemake


def jobs_run(result: subprocess.CompletedProcess[str], folder: Path) -> dict[str, int]:
    """Return the job counts of the last call in a folder, from Snakemake's log: the terminal does not show them."""
    log = max((folder / ".snakemake/log").glob("*.snakemake.log")).read_text()
    return jobs(subprocess.CompletedProcess([], result.returncode, log, result.stderr))


def test_plan_of_a_fresh_folder(snakemake: Snakemake) -> None:
    assert jobs(snakemake("-n", *demo())) == ALL
    # The plan of trainings that would be refused, as they take days without a GPU
    hundred = jobs(snakemake("-n", "--config", "model=transformer,lightconv", "seed=range(1,51)", env=CPU))
    assert hundred == ALL | dict.fromkeys(["train", "translate", "score", "gather_run"], 100)


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_rules_are_readable(file: Path) -> None:
    """How Snakemake is told what decides a result, and what does not, stands in common.smk alone."""
    text = file.read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    if file.name != "common.smk":
        assert "lambda" not in text
        for params in re.findall(r"^    params:\n((?:        .*\n)+)", text, re.MULTILINE):
            assert len(re.findall(r"^        \w+=", params, re.MULTILINE)) <= 5


def test_a_stage_is_a_target(snakemake: Snakemake, tiny_text: Path) -> None:
    assert {path.name for path in (tiny_text / "results").iterdir() if path.is_dir()} == {"corpus", "text"}
    assert jobs(snakemake("-n", "corpus", *demo())) == {"raw_text": 1, "corpus": 1}
    assert jobs(snakemake("-n", "scoring", *demo())) == dict.fromkeys([*STAGES, "scoring"], 1)


def test_what_runs_again(finished: Snakemake) -> None:
    """By the jobs planned: nothing, decoding and after, training and after; and nothing for `how`."""
    after = {"gather_run": 1, "write_report": 1, "all": 1}
    beam = jobs(finished("-n", *demo(overrides="decoding.beam=8")))
    assert beam == after | {"translate": 1, "score": 1}
    model = jobs(finished("-n", *demo("model=lightconv_tiny")))
    assert model == after | {"train": 1, "translate": 1, "score": 1}
    how = "runtime.device=cpu runtime.threads=1 runtime.log_interval=7 runtime.mirror=elsewhere"
    assert jobs(finished("-n", "--cores", "1", *demo(overrides=how))) == {}


def test_a_fake_run_leaves_what_is_promised(finished: Snakemake, tmp_path: Path) -> None:
    (row,) = json.loads((tmp_path / "results/report/scores.json").read_text())
    assert {"run", "recipe", "corpus", "model", "seed", "sentences", "metrics"} <= set(row)
    assert (row["recipe"], row["model"], row["seed"], row["sentences"]) == ("demo", "transformer_tiny", 1, 5)
    assert set(row["metrics"]) == {"bleu_tok_lc", "sacrebleu_lc", "chrf"}
    assert row["metrics"]["bleu_tok_lc"]["score"] == pytest.approx(100)
    folder = tmp_path / "results/runs" / row["run"]
    assert (folder / "hypotheses.txt").read_text().count("\n") == 5
    assert os.readlink(folder / "hypotheses.txt").startswith("../../decoding/")
    assert "merges: 50" in (folder / "config.yaml").read_text()
    for stage in ("corpus", "text", "training", "decoding", "scoring"):
        (config,) = (tmp_path / "results" / stage).glob("*/config.yaml")
        assert config.parent.name.startswith(("demo", "transformer_tiny-seed1"))


def test_snakemakes_own_report_holds_ours(finished: Snakemake, tmp_path: Path) -> None:
    command = [*SNAKEMAKE[:5], "--report", "snakemake.html", *demo()]  # as README shows it, without --cores
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "snakemake.html").read_text()
    assert all(word in page for word in ("index.html", "hypotheses.txt", "Comparison", "Translations"))


def test_a_wrong_baseline_ends_before_any_job_and_another_one_rewrites_the_report(finished: Snakemake) -> None:
    wrong = finished("-n", *demo(overrides="report.baseline=lightcnv"))
    assert wrong.returncode != 0
    assert "bleuprint: report.baseline=lightcnv names no group; the groups are: transformer_tiny." in wrong.stderr
    assert jobs(finished("-n", *demo(overrides="report.baseline=demo"))) == {}


def test_the_commands_of_a_run_can_be_replayed(
    finished: Snakemake, tmp_path: Path, fake_fairseq: dict[str, str]
) -> None:
    """commands.sh, run by a shell in a fresh folder, calls fairseq with the very same arguments."""
    calls = Path(fake_fairseq["CALLS"])
    recorded = calls.read_text()
    programs = [json.loads(line)[0] for line in recorded.splitlines()]
    assert programs == ["fairseq-preprocess", "fairseq-train", "fairseq-generate"]
    calls.unlink()
    (script,) = (tmp_path / "results/runs").glob("*/commands.sh")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    result = subprocess.run(
        ["bash", "-e", str(script)],
        cwd=fresh,
        env=os.environ | fake_fairseq | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert [line.split('"--user-dir"')[0] for line in calls.read_text().splitlines()] == [
        line.split('"--user-dir"')[0] for line in recorded.splitlines()
    ]


def test_the_save_dir_of_a_failed_training_is_kept_and_never_used_for_another_one(
    prepared: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    failed = prepared("training", *demo(), env=fake_fairseq | {"FAIL": "1"})
    assert failed.returncode != 0
    assert "results/training/" in failed.stderr
    (checkpoint,) = (tmp_path / "results/training").glob("*/checkpoints/checkpoint_best.pt")
    assert checkpoint.read_bytes().startswith(b"PK")
    assert not list((tmp_path / "results/training").glob("*/checkpoint.pt"))
    (config,) = (tmp_path / "results/training").glob("*/config.yaml")
    own = config.read_text()
    config.write_text("seed: 2\n")
    refused = prepared("training", *demo(), env=fake_fairseq)
    assert refused.returncode != 0
    # Snakemake's many lines end with the sentence
    sentence = f"bleuprint: {config.relative_to(tmp_path)} was not made by this version of bleuprint"
    assert any(line.startswith(sentence) for line in refused.stderr.splitlines()[-6:])
    assert checkpoint.exists()
    config.write_text(own)
    assert prepared("training", *demo(), env=fake_fairseq).returncode == 0


def test_the_same_command_goes_on_after_ctrl_c(
    snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    calls = Path(fake_fairseq["CALLS"])
    with subprocess.Popen(
        [*SNAKEMAKE, "training", *demo()],
        cwd=tmp_path,
        env=os.environ | fake_fairseq | {"HANG": "1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT, and their children with them: a terminal's do not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as interrupted:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("results/training/*/train.log")) or "train" not in calls.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(interrupted.pid, signal.SIGINT)
        assert interrupted.wait(30) != 0
    again = snakemake("training", *demo(), env=fake_fairseq)
    assert again.returncode == 0, again.stderr
    assert "tokenising" not in again.stderr  # what was finished is kept


def test_a_checkout_in_any_folder_works_and_the_users_python_path_is_kept(
    tmp_path: Path, fake_fairseq: dict[str, str]
) -> None:
    """All jobs with programs of others, with a config file, and with one core as `--cores` is not given."""
    checkout = tmp_path / "a $(touch pwned) `touch pwned` {x} {{y}} 'q' \"r\" ; touch pwned"
    for folder in (checkout, tmp_path / "work", tmp_path / "users"):
        folder.mkdir()
    for name in ("workflow", "config", "envs", "profiles"):  # copies: the package resolves links
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", checkout)
    config = {"recipe": "demo", "text": {"merges": 50}, "overrides": TINY.split()[:-1], "decoding.beam": 2}
    (tmp_path / "work/my.yaml").write_text(yaml.safe_dump(config))
    # Python imports it at each start, if PYTHONPATH leads there
    (tmp_path / "users/sitecustomize.py").write_text(
        "import sys\nwith open('commands', 'a') as file:\n    print(*sys.orig_argv, file=file)\n"
    )
    command = [*SNAKEMAKE[:3], "--snakefile", str(checkout / "Snakefile"), "decoding", "--configfile", "my.yaml"]
    env = os.environ | fake_fairseq | {"PYTHONPATH": str(tmp_path / "users")}
    result = subprocess.run(command, cwd=tmp_path / "work", env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Provided cores: 1 " in result.stderr
    commands = (tmp_path / "work/commands").read_text()
    assert "-m bleuprint.corpus --config" in commands and "--symbols 50" in commands
    train, translate = calls(fake_fairseq)[-2:]
    assert checkout.name in value(train, "--user-dir") and value(translate, "--beam") == "2"
    assert not list(tmp_path.rglob("pwned"))


def test_settings_among_the_targets_and_a_module_end_in_a_sentence(snakemake: Snakemake, tmp_path: Path) -> None:
    result = snakemake("recipe=demo", "training.lr=1e-3", "seed=2")
    assert result.returncode != 0
    assert result.stderr.endswith(' write --config recipe=demo seed=2 overrides="training.lr=1e-3"\n')
    (tmp_path / "Snakefile").write_text(
        f"module nmt:\n    snakefile: {str(ROOT / 'Snakefile')!r}\n    prefix: 'there'\nuse rule * from nmt as nmt_*\n"
    )
    module = subprocess.run([*SNAKEMAKE[:3], "--cores", "1"], cwd=tmp_path, capture_output=True, text=True)
    assert module.returncode != 0 and "Traceback" not in module.stderr
    assert module.stderr.splitlines()[-1].startswith("bleuprint: prefix and replace_prefix of a module move only some")
    assert not (tmp_path / "results").exists()


def test_without_cores_there_is_one_unless_an_executor_counts_jobs() -> None:
    for given, nodes, used, told in [(None, None, 1, 1), (4, None, 4, 4), (None, 8, 1, None), (16, 8, 16, 16)]:
        settings = SimpleNamespace(cores=given, nodes=nodes)
        assert cores(SimpleNamespace(resource_settings=settings, global_resources={})) == used
        assert settings.cores == told


def test_a_call_that_wrote_no_report_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`snakemake --touch` in a new folder: all jobs end, and there are no scores."""
    monkeypatch.chdir(tmp_path)
    after_success(
        SimpleNamespace(dag=SimpleNamespace(jobs=[SimpleNamespace(rule=SimpleNamespace(name="write_report"))]))
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (["model=lightcnv"], ["model=lightcnv", "dynamicconv, lightconv"]),
        pytest.param(["modle=lightconv"], ["did you mean model?"], marks=pytest.mark.nightly),
        pytest.param(["overrides=training.lr=fast"], ["training.lr=fast"], marks=pytest.mark.nightly),
        pytest.param(  # fairseq's answers are in test_fairseq_flags.py, too
            ["overrides=+training.label_smoothin=0.2"],
            ["unrecognized arguments: --label-smoothin"],
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_wrong_call_ends_in_two_lines_before_any_job(
    snakemake: Snakemake, tmp_path: Path, config: list[str], words: list[str]
) -> None:
    result = snakemake("--config", *config)
    assert result.returncode != 0
    said = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    said = [line for line in said if "profile" not in line]  # Snakemake names the profile it found
    assert len(said) <= 2 and "Traceback" not in result.stderr
    assert all(word in said[0] for word in words)
    assert not (tmp_path / "results").exists()


def test_a_training_of_days_is_refused_before_any_job(snakemake: Snakemake, tmp_path: Path) -> None:
    refused = snakemake(env=CPU)
    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert "would train about" in last and "runtime.device=cpu" in last
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "results").exists()


def test_reversed_direction_and_local_text(snakemake: Snakemake, tmp_path: Path, fake_fairseq: dict[str, str]) -> None:
    for language in ("fr", "en"):
        (tmp_path / f"mine.{language}").write_text("".join(f"{language} {n}\n" for n in range(200)))
    local = "corpus.train=mine text=iwslt14 text.merges=50"
    config = ["--config", "recipe=demo", "corpus=local", "source=fr", "target=en", f"overrides={local}"]
    result = snakemake(*config, env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "results/report/scores.json").read_text())
    assert (row["corpus"], row["sentences"]) == ("local", 10)
    assert jobs(snakemake("-n", *config)) == {}
    (tmp_path / "mine.fr").write_text("".join(f"other {n}\n" for n in range(200)))
    assert jobs(snakemake("-n", *config)) == ALL


def calls(fake: dict[str, str]) -> list[list[str]]:
    """Return the command lines of fairseq's stand-ins so far."""
    return [json.loads(line) for line in Path(fake["CALLS"]).read_text().splitlines()]


def value(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


def test_an_ensemble_shares_the_trainings_of_a_sweep(
    prepared: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepared("training", *demo("seed=1,2,3"), env=fake_fairseq).returncode == 0
    before = len(calls(fake_fairseq))
    ensemble = demo(overrides="decoding.ensemble=[],[3,2]")
    words = f"{TINY} decoding.ensemble=[],[3,2]"
    assert "0 computed, 3 reused" in explain(plan(experiments({"recipe": "demo", "overrides": words})))
    result = prepared(*ensemble, env=fake_fairseq)
    assert jobs_run(result, tmp_path) == {"translate": 2, "score": 2, "gather_run": 2, "write_report": 1, "all": 1}
    _, command = sorted(calls(fake_fairseq)[before:], key=lambda words: len(value(words, "--path")))
    seeds = [path.split("/")[2].split("-")[1] for path in value(command, "--path").split(":")]
    assert seeds == ["seed1", "seed2", "seed3"]
    alone, together = json.loads((tmp_path / "results/report/scores.json").read_text())
    assert alone["group"] != together["group"] and "ensemble" not in alone
    assert alone["stages"]["training"] == together["stages"]["training"]
    record = json.loads((tmp_path / "results/runs" / together["run"] / "provenance.json").read_text())
    assert [one["folder"] for one in record["ensemble"]] == together["ensemble"]
    assert all("checkpoint.pt" in one["files"] for one in record["ensemble"])
    script = (tmp_path / "results/runs" / together["run"] / "commands.sh").read_text()
    assert [f"--seed {seed} " in script for seed in (1, 2, 3)] == [True] * 3
    assert jobs(prepared("-n", *ensemble)) == {}


def test_an_ensemble_alone_trains_all_its_models(snakemake: Snakemake) -> None:
    planned = jobs(snakemake("-n", *demo(overrides="decoding.ensemble=[2]")))
    assert planned == ALL | {"train": 2}


def test_beam_and_length_penalty_are_tuned_on_the_validation_set_alone(
    prepared: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    tuned = demo(overrides="decoding.tune={beam:[2,3],lenpen:[0.5,1.0]}")
    env = fake_fairseq | {"WORSE": "--beam 3 --lenpen 0.5"}
    assert jobs_run(prepared(*tuned, env=env), tmp_path) == dict.fromkeys([*AFTER_TEXT, "tune"], 1)
    decodings = [command for command in calls(fake_fairseq) if command[0] == "fairseq-generate"]
    points = [tuple(value(command, flag) for flag in ("--beam", "--lenpen")) for command in decodings]
    assert points == [("2", "0.5"), ("2", "1.0"), ("3", "0.5"), ("3", "1.0"), ("3", "0.5")]
    assert [value(command, "--gen-subset") for command in decodings[:-1]] == ["valid"] * 4
    assert "--gen-subset" not in decodings[-1]
    (folder,) = (tmp_path / "results/decoding").iterdir()
    log = (folder / "tune.log").read_text()
    assert "test.en" not in log and "test.de" not in log and log.count("\n++ fairseq-generate ") == 4
    found = json.loads((folder / "tuned.json").read_text())
    assert found["picked"] == {"beam": 3, "lenpen": 0.5} and found["bleu"] == pytest.approx(100)
    assert [point["bleu"] < 100 for point in found["points"]] == [True, True, False, True]
    (run,) = (tmp_path / "results/runs").iterdir()
    decoding = yaml.safe_load((run / "config.yaml").read_text())["decoding"]
    assert (decoding["beam"], decoding["lenpen"]) == (3, 0.5)
    assert json.loads((run / "scores.json").read_text())["tuned"]["picked"] == found["picked"]
    assert jobs(prepared("-n", *tuned)) == {}
    beam = demo(overrides="decoding.tune={beam:[2,3],lenpen:[0.5,1.0]} decoding.beam=7")
    assert not jobs(prepared("-n", *beam)).keys() & {"tune", "translate"}  # it is not used
    # A point that was tried is not tried again
    for name in ("tuned.json", "tuned.flags", "hypotheses.txt", "seal.json"):
        (folder / name).unlink()
    (folder / "tune/beam3-lenpen1.0/bleu.json").unlink()  # as after Ctrl-C
    assert prepared("decoding", *tuned, env=env).returncode == 0
    again = calls(fake_fairseq)[1 + len(decodings) :]
    assert [(value(command, "--lenpen"), "--gen-subset" in command) for command in again] == [
        ("1.0", True),
        ("0.5", False),
    ]
    shutil.rmtree(run)
    shutil.rmtree(tmp_path / "results/report")
    (folder / "tuned.json").unlink()  # a new record would not tell of the tuning
    assert jobs(prepared("-n", *tuned)).get("tune") == 1
