"""Identity: what shares a folder, what does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pins
import pytest

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.schema import Experiment
from bleuprint.config.stages import ALL, STAGES, Others, ancestors
from bleuprint.files import DataError, read_json
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan
from bleuprint.record.folder import begin


def planned(**cli: Any) -> Plan:
    return plan(experiments(cli))


def keys(**cli: Any) -> dict[str, str]:
    (run,) = planned(**cli).runs
    return run.keys


def shared(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return [stage for stage in STAGES if one[stage] == other[stage]]


@pytest.mark.parametrize(
    ("cli", "same"),
    [
        ({"model": "lightconv"}, ["corpus", "text"]),
        ({"seed": 2}, ["corpus", "text"]),
        ({"overrides": "training.lr=1e-3"}, ["corpus", "text"]),
        ({"overrides": "+training.label_smoothing_ramp=1"}, ["corpus", "text"]),
        ({"overrides": "training.fp16=true"}, ["corpus", "text"]),
        ({"overrides": "decoding.beam=8"}, ["corpus", "text", "training"]),
        ({"overrides": "scoring.metrics.chrf.lowercase=false"}, ["corpus", "text", "training", "decoding"]),
        ({"overrides": "text.merges=5000"}, ["corpus"]),
        ({"text": "joined"}, ["corpus"]),
        ({"source": "en", "target": "de"}, ["corpus"]),
        ({"corpus": "multi30k_de_en"}, []),
        ({"overrides": "corpus.bytes=5"}, []),
        # how, not what
        ({"overrides": "runtime.device=cpu runtime.min_kept=0 runtime.mirror=x runtime.log_interval=5"}, list(STAGES)),
        ({"overrides": "corpus.sources=[here] corpus.expected=null corpus.pairs=1"}, list(STAGES)),
        ({"overrides": "runtime.tensorboard=true runtime.jobs_per_gpu=2 report.baseline=transformer"}, list(STAGES)),
        ({"overrides": "scoring.resamples=500"}, ["corpus", "text", "training", "decoding"]),
        ({"overrides": "training.lr=0.00050 model.dropout=3e-1"}, list(STAGES)),
        ({"overrides": "+training.keep_best_checkpoints=null"}, list(STAGES)),
        ({"overrides": "training.average_last=3 training.average_epochs=3"}, list(STAGES)),  # nothing is averaged
        ({"overrides": "training.checkpoint=average_best"}, ["corpus", "text"]),
        ({"overrides": "decoding.ensemble=[] decoding.tune=null"}, list(STAGES)),
    ],
)
def test_what_shares_a_folder(cli: dict[str, Any], same: list[str]) -> None:
    assert shared(keys(), keys(**cli)) == same


def test_swapped_values_are_another_training() -> None:
    one = keys(overrides="model.dropout=0.1 +model.attention_dropout=0.3")
    other = keys(overrides="model.dropout=0.3 +model.attention_dropout=0.1")
    assert shared(one, other) == ["corpus", "text"]


def test_keys_are_the_same_in_every_session() -> None:
    """A change here makes users train again; it must be meant (results change: raise the stage's format)."""
    assert keys(recipe="demo") == {
        "corpus": "demo-cc559e86",
        "text": "demo-de-en-5a9f5abf",
        "training": "transformer_tiny-seed1-afe8aad5",
        "decoding": "transformer_tiny-seed1-35a63f2f",
        "scoring": "transformer_tiny-seed1-43fc1903",
    }


def test_a_sweep_shares_stages_and_equal_runs_are_one() -> None:
    sweep = planned(model="transformer,lightconv", seed="1,2,3")
    assert len(sweep.runs) == 6
    assert [len(sweep.stages[stage]) for stage in STAGES] == [1, 1, 6, 6, 6]
    assert len(planned(overrides="decoding.beam=5,5").runs) == 1
    # another recipe with the same keys is another run in the report, of the same results
    assert len({run.name for run in sweep.runs}) == 6


def test_runs_that_differ_in_their_seed_only_are_a_group() -> None:
    sweep = planned(model="transformer,lightconv", seed="1,2,3", overrides="decoding.beam=4,5")
    assert len({run.group for run in sweep.runs}) == 4
    for run in sweep.runs:
        same = [other for other in sweep.runs if other.group == run.group]
        assert [other.choice.experiment.seed for other in same] == [1, 2, 3]
    (elsewhere,) = planned(model="transformer", seed=7, overrides="decoding.beam=5").runs
    assert elsewhere.group in {run.group for run in sweep.runs}


def test_a_run_says_how_it_differs_from_its_recipe() -> None:
    def differing(**cli: Any) -> dict[str, Any]:
        (run,) = planned(**cli).runs
        found: dict[str, Any] = json.loads(run.description)["expected"]["changed"]
        return found

    assert differing() == {} == differing(seed=5, overrides="training.fp16=true decoding.max_tokens=100")
    assert differing(overrides="training.max_epoch=5 decoding.beam=4") == {
        "training.max_epoch": [50, 5],
        "decoding.beam": [5, 4],
    }
    assert differing(recipe="assignment", overrides="corpus.bytes=7") == {"corpus.bytes": [19982877, 7]}
    assert "model.arch" in differing(model="lightconv")
    other = differing(overrides="scoring.metrics.bleu_tok_lc.tokenize=13a expected.low=1")
    assert other == {"scoring.metrics.bleu_tok_lc.tokenize": ["none", "13a"], "expected.low": [34.1, 1]}
    (demo,) = planned(recipe="demo").runs
    assert json.loads(demo.description)["expected"] is None


def test_neither_runtime_nor_report_is_swept() -> None:
    for key in ("runtime.threads=1,2", "report.baseline=transformer,lightconv"):
        with pytest.raises(ConfigError, match="cannot be swept"):
            planned(overrides=key)


def test_upstream_names_the_folders_a_stage_builds_on() -> None:
    demo = planned(recipe="demo")
    (run,) = demo.runs
    assert demo.upstream("scoring", run.keys["scoring"], "text", "bin") == f"results/text/{run.keys['text']}/bin"
    assert demo.upstream("training", run.keys["training"], "text", "bin") == f"results/text/{run.keys['text']}/bin"
    with pytest.raises(ConfigError, match="results/text/other"):
        demo.upstream("text", "other", "corpus", "raw")


def test_local_text_is_identified_by_its_content(tmp_path: Path) -> None:
    def with_text(folder: str, text: str) -> dict[str, str]:
        (tmp_path / folder).mkdir()
        for language in ("de", "en"):
            (tmp_path / folder / f"train.{language}").write_text(text)
        return keys(corpus="local", overrides=f"corpus.train={tmp_path / folder}/train")

    first, copy, changed = with_text("a", "x\n"), with_text("b", "x\n"), with_text("c", "y\n")
    assert shared(first, copy) == list(STAGES)
    assert shared(first, changed) == []
    with pytest.raises(DataError, match=r"train\.de: no such file"):
        keys(corpus="local", overrides=f"corpus.train={tmp_path}/train")


def test_a_folder_of_another_version_is_not_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path, '{"lr":1}')
    begin(tmp_path, '{"lr":1}')
    with pytest.raises(DataError, match=r"config\.yaml was not made by this version"):
        begin(tmp_path, '{"lr":2}')
    (tmp_path / "config.yaml").write_bytes(b"\xff{")
    with pytest.raises(DataError, match="move"):
        begin(tmp_path, '{"lr":1}')


def test_an_ensemble_is_another_decoding_of_trainings_that_are_shared() -> None:
    (alone,) = planned(recipe="demo").runs
    made = planned(recipe="demo", overrides="decoding.ensemble=[3,2]")
    (run,) = made.runs
    assert shared(alone.keys, run.keys) == ["corpus", "text", "training"]
    assert run.ensemble == tuple(keys(recipe="demo", seed=seed)["training"] for seed in (2, 3))
    assert list(made.stages["training"]) == [run.keys["training"], *run.ensemble]
    assert made.models(run.keys["decoding"]) == [
        f"results/training/{key}" for key in (run.keys["training"], *run.ensemble)
    ]
    assert run.keys == keys(recipe="demo", overrides="decoding.ensemble=[2,3]")
    assert len({alone.group, run.group, planned(recipe="demo", overrides="decoding.ensemble=[2]").runs[0].group}) == 3
    sweep = planned(recipe="demo", overrides="decoding.ensemble=[],[2],[2,3]")
    assert [len(sweep.stages[stage]) for stage in STAGES] == [1, 1, 3, 3, 3]
    assert [stage.experiment.seed for stage in sweep.stages["training"].values()] == [1, 2, 3]
    other = keys(recipe="demo", overrides="decoding.ensemble=[2] training.lr=1e-3")
    assert other["decoding"] != keys(recipe="demo", overrides="decoding.ensemble=[2]")["decoding"]


def test_a_grid_takes_the_place_of_what_it_decides() -> None:
    one = keys(overrides="decoding.tune={beam:[4,5],lenpen:[1.0]}")
    assert shared(keys(), one) == ["corpus", "text", "training"]
    assert shared(one, keys(overrides="decoding.tune={beam:[4,5],lenpen:[1.0]} decoding.beam=9")) == list(STAGES)
    assert shared(one, keys(overrides="decoding.tune={beam:[4,5]}")) == list(STAGES)  # the penalty is 1 anyhow
    assert one != keys(overrides="decoding.tune={beam:[4,6]}")


def test_new_keys_leave_finished_runs_as_they_are() -> None:
    """The report gathers a run anew where its description changes, which may need stages that were deleted."""
    (run,) = planned(recipe="demo").runs
    config = json.loads(run.description)["config"]
    assert not {"ensemble", "tune"} & set(config["decoding"]) and "average_epochs" not in config["training"]
    (used,) = planned(overrides="decoding.ensemble=[2] decoding.tune={beam:[4]} training.checkpoint=average_best").runs
    config = json.loads(used.description)["config"]
    assert config["decoding"]["ensemble"] == [2] and config["training"]["average_epochs"] == 5


def seventh(experiment: Experiment) -> Experiment:
    return experiment.model_copy(update={"seed": 7})


def test_a_stage_may_have_several_parents_and_be_made_from_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(recipe="demo")
    twin = Others("training", lambda choice: {"twin": replace(choice, experiment=seventh(choice.experiment))})
    declared = replace(STAGES["scoring"], parents=("decoding", "text"), others={"models": twin})
    monkeypatch.setitem(STAGES, "scoring", declared)
    monkeypatch.setitem(ALL, "scoring", declared)
    made = planned(recipe="demo")
    (run,) = made.runs
    assert shared(before, run.keys) == ["corpus", "text", "training", "decoding"]
    slice_ = made.stage("scoring", run.keys["scoring"]).slice
    assert slice_["parents"] == {stage: run.keys[stage][-8:] for stage in ("decoding", "text")}
    other = keys(recipe="demo", seed=7)["training"]
    assert slice_["models"] == {"twin": other[-8:]} and ("training", other) in run.needs
    assert run.needs.index(("training", other)) < run.needs.index(("scoring", run.keys["scoring"]))
    assert made.upstream("scoring", run.keys["scoring"], "corpus", "raw") == run.file("corpus", "raw")


def test_stages_know_what_they_are_made_from() -> None:
    assert list(STAGES) == ["corpus", "text", "training", "decoding", "scoring"]
    assert ancestors("training") == {"corpus", "text"} and ancestors("corpus") == set()


@pytest.mark.slow
def test_folders_of_every_recipe_with_every_model_are_as_pinned() -> None:
    """If it is meant: raise the format of a stage whose results change, and run python tests/pins.py."""
    now, pinned = pins.pins(), read_json(pins.PINS)
    assert now["runs"] == pinned["runs"]
    assert now["folders"] == pinned["folders"]
