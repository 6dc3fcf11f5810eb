"""Killed at any moment, gone on with by the same command: the same tensors, hypotheses and scores."""

from pathlib import Path

import drill
from drill import Kill

# One thread: a training that shares its cores with other work and waits for its own threads takes ten times as long
SMALL = [
    "recipe=demo",
    "overrides=corpus.pairs=1500 corpus.valid_pairs=50 corpus.test_pairs=21 text.merges=200 training.max_update=100"
    " training.eval_bleu=true training.eval_bleu_args={beam:1,max_len_a:1.2,max_len_b:10} runtime.threads=1",
]


def test_killed_over_all_stages_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    kills = [
        Kill(drill.stage("text"), drill.snakemake_alone, 2.0),
        Kill(drill.updating, drill.everything, 2.0),
        Kill(drill.writing, drill.everything),
        Kill(drill.updating, drill.terminated),
        Kill(drill.updating, drill.snakemake_alone, 1.0),
        Kill(drill.validating, drill.everything),
        Kill(drill.updating, drill.interrupted, 1.0),
        Kill(drill.trained, drill.everything),
        Kill(drill.stage("decoding"), drill.everything, 1.0),
    ]
    rows = drill.drill(tmp_path, SMALL, kills, seed=1)
    assert sum(hit for _, hit, _ in rows) >= len(kills) - 2, rows
    ended = {what.split()[0]: seconds for what, hit, seconds in rows if hit}
    log = next(tmp_path.glob("killed/results/training/*/train.log")).read_text()
    assert "bleuprint: training stopped by SIGTERM and saved after update" in log
    assert ended["terminated"] < 60  # it does not wait for the training's end; seconds where nothing else is at work
    said = (tmp_path / "killed/calls.log").read_text()
    assert "bleuprint: ending" in said and "that a killed snakemake left at work here" in said
