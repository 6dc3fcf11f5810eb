"""make wheels: a folder of wheels for `make bench-gpu` on a machine without a network, for the Python this runs with.

    python3.12 bench/wheels.py wheels

What the machine has already may be deleted from the folder, and torch is never in it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def locked(lock: str, names: set[str]) -> str:
    """Return the entries of a lock for some packages, with their hashes.

    Raises:
        SystemExit: a package is not in it.
    """
    entries = [f"{entry}\n" for entry in lock.replace(" \\\n", " ").splitlines() if not entry.lstrip().startswith("#")]
    found = {entry.partition("==")[0]: entry for entry in entries}
    if missing := names - found.keys():
        sys.exit(
            f"bleuprint: envs/requirements.lock has no {', '.join(sorted(missing))}; bench/gpu.txt names too much."
        )
    return "".join(found[name] for name in sorted(names))


def main() -> None:
    """Entry point."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "wheels")
    lines = (ROOT / "bench" / "gpu.txt").read_text().splitlines()
    wanted = locked(
        (ROOT / "envs" / "requirements.lock").read_text(), {line for line in lines if not line.startswith("#")}
    )
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(wanted)
        file.flush()
        # `wheel`, not `download`: one of them is published as its source only
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "--wheel-dir", folder, "-r", file.name], check=True)
    wheels = sorted(folder.glob("*.whl"))
    print(f"{folder}: {len(wheels)} wheels, {sum(wheel.stat().st_size for wheel in wheels) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
