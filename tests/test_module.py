"""bleuprint as a module of another workflow. fairseq is a stand-in here."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import yaml
from conftest import CPU, ROOT, SNAKEMAKE, TINY

OUTER = f"""
configfile: "outer.yaml"

module nmt:
    snakefile:
        {str(ROOT / "Snakefile")!r}
    config:
        config["nmt"]

use rule * from nmt as nmt_*

rule best:
    input:
        "results/report/scores.json",
    output:
        "best.txt",
    run:
        import json
        with open(input[0]) as file, open(output[0], "w") as best:
            best.write(str(max(run["metrics"]["bleu_tok_lc"]["score"] for run in json.load(file))))

rule all:
    default_target: True
    input:
        "best.txt",

onstart:
    nmt.onstart()

onsuccess:
    nmt.onsuccess()

onerror:
    nmt.onerror()
"""


def outer(folder: Path, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Call the outer workflow with bleuprint's profile, as its page says."""
    command = [*SNAKEMAKE[:3], "--cores", "2", "--workflow-profile", str(ROOT / "profiles/default"), *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | CPU | env, capture_output=True, text=True)


def test_rules_of_another_workflow_use_its_scores(
    tmp_path: Path, fake_fairseq: dict[str, str], tiny_text: Path
) -> None:
    shutil.copytree(tiny_text / "results", tmp_path / "results")
    (tmp_path / "Snakefile").write_text(OUTER)
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"nmt": {"recipe": "demo", "overrides": TINY}}))
    done = outer(tmp_path, env=fake_fairseq)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads((tmp_path / "results/report/scores.json").read_text())
    assert float((tmp_path / "best.txt").read_text()) == run["metrics"]["bleu_tok_lc"]["score"]
    assert run["run"] in done.stdout + done.stderr  # the scores are shown at the end
    # The checks before the first job are made, too
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"nmt": {"recipe": "readme"}}))
    refused = outer(tmp_path, "--forcerun", "nmt_raw_text", env=fake_fairseq)
    assert refused.returncode != 0 and "runtime.device=cpu" in refused.stderr and "Traceback" not in refused.stderr
    assert len(list((tmp_path / "results/training").iterdir())) == 1
    # A wrong config ends in the same sentence
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"nmt": {"recipe": "dmo"}}))
    wrong = outer(tmp_path, "-n", env=fake_fairseq)
    assert wrong.returncode != 0 and "bleuprint: recipe=dmo: no such recipe; there are " in wrong.stderr
