"""make bench-gpu: what training and decoding settings bring on a GPU, in less than ten minutes; one Markdown table.

    make bench-gpu                                   on a machine with .venv, whose torch knows the GPU
    make bench-gpu WHEELS=wheels PYTHON=python3.12   offline, with the machine's own torch and folders of wheels
    python bench/gpu.py --device cpu                 tries the script without a GPU, in some minutes; no figure counts

For the second, make these two where there is a network and the corpus, and carry them along with this checkout:

    make wheels PYTHON=python3.12                    the Python of the GPU's machine; in pieces, see bench/gpu.txt
    make gpu-data                                    the binarised text: bench/gpu-data.tar.gz

Measured are target tokens a second (no padding) with the recipe's flags as they are and with others, one after the
other; the validation loss over time, with the flags as they are and with the fastest; and both engines' decoding.
Every measurement has a time of its own; what fails or finds no time left is named with its reason, and the table and
bench/results-gpu.json hold what there is. "Equal updates and tokens": the same batches. "×4": batches four times as
large, the learning rate twice as high and the warm-up a quarter as many updates, so that equal tokens are a quarter
of the updates.
"""

import argparse
import datetime
import importlib.util
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "bench" / "gpu-data.tar.gz"
RESULTS = ROOT / "bench" / "results-gpu.json"
NEEDED = ("torch", "fairseq", "hydra", "pydantic", "sacrebleu", "tabulate")
TRIAL = "tried on a CPU with small models, so no figure says anything about a GPU"


def pack(archive: Path) -> None:
    """Make DATA: the text stage of an archive, binarised, and what both engines translate and are scored with."""
    from measure import prepared

    with tempfile.TemporaryDirectory() as folder:
        text = prepared(Path(folder), archive.resolve())
        with tarfile.open(DATA, "w:gz") as tar:
            for path, name in (
                (text / "bin", "bin"),
                (text / "bpe/test.de", "test.de"),
                (text / "tokenized/test.en", "test.en"),
            ):
                tar.add(path, name)
    print(f"{DATA}: {DATA.stat().st_size / 1e6:.1f} MB")


def refusal(device: str) -> str | None:
    """Why nothing can be measured here, in one sentence with the way out; None if it can."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        return f"{sys.executable} cannot import {names}; give make bench-gpu WHEELS=FOLDER, or another PYTHON=."
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return (
                f"torch {torch.__version__} sees no GPU here; to try the script without one: bench/gpu.py --device cpu."
            )
    if not DATA.exists():
        return f"{DATA} is not there; make gpu-data makes it, where the archive and a network are."
    return None


def machine(device: str) -> dict[str, str]:
    """Return what the figures belong to."""
    import torch

    head = {"date": datetime.date.today().isoformat()}
    if device == "cuda":
        driver = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
        try:
            version = subprocess.run(driver, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            version = "unknown"
        head |= {"device": torch.cuda.get_device_name(0), "driver": version}
    else:
        head |= {"device": f"CPU: {TRIAL}"}
    return head | {"torch": torch.__version__, "Python": platform.python_version()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--pack", type=Path, metavar="TGZ", help="make gpu-data of this archive, and nothing else")
    parser.add_argument("--minutes", type=float, default=8.5, help="for all measurements together")
    arguments = parser.parse_args()
    workflow = str(ROOT / "workflow")
    sys.path.insert(0, workflow)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [workflow, os.environ.get("PYTHONPATH")]))
    if arguments.pack:
        return pack(arguments.pack)
    if why := refusal(arguments.device):
        sys.exit(f"bleuprint: {why}")
    from gpu_measures import Place, load_once
    from gpu_plan import MINUTES, Report, bench, recipe

    from bleuprint.files import write_json

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(DATA) as tar:
            tar.extractall(f"{folder}/data", filter="data")
        place = Place(Path(folder), Path(folder) / "data", arguments.device == "cpu")
        print("loading everything once ...", flush=True)
        load_once(recipe("transformer", place.cpu), place)
        report = Report(machine(arguments.device), arguments.minutes)  # its clock starts
        try:
            bench(report, place, arguments.minutes / MINUTES)
        finally:  # also when it is interrupted
            if arguments.device == "cuda":
                write_json(RESULTS, report.head | {"rows": report.rows})
            print(f"\n{report.table()}")


if __name__ == "__main__":
    main()
