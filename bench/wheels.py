"""make wheels: folders of wheels for `make bench-gpu` on a machine without a network, for the Python this runs with.

    python3.12 bench/wheels.py wheels

Each piece of bench/gpu.txt is a folder in it. Pieces that the machine has may stay behind; torch is in none.
"""

import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 60e6  # bytes of a piece


def pieces() -> dict[str, set[str]]:
    """Return the packages of each piece."""
    parser = ConfigParser(allow_no_value=True)
    parser.read(ROOT / "bench" / "gpu.txt")
    return {piece: set(parser[piece]) for piece in parser.sections()}


def locked(lock: str, names: set[str]) -> str:
    """Return the entries of a lock for some packages, with their hashes.

    Raises:
        SystemExit: a package is not in it.
    """
    entries = [f"{entry}\n" for entry in lock.replace(" \\\n", " ").splitlines() if not entry.lstrip().startswith("#")]
    by_name = {entry.partition("==")[0]: entry for entry in entries}
    if missing := names - by_name.keys():
        sys.exit(
            f"bleuprint: envs/requirements.lock has no {', '.join(sorted(missing))}; bench/gpu.txt names too much."
        )
    return "".join(by_name[name] for name in sorted(names))


def download(folder: Path, requirements: str) -> None:
    """Make a piece's folder of wheels, of these entries of a lock; older wheels in it are removed."""
    for wheel in folder.glob("*.whl"):
        wheel.unlink()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        # `wheel`, not `download`: one of them is published as its source only
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "--wheel-dir", folder, "-r", file.name], check=True)


def main() -> None:
    """Entry point."""
    lock = (ROOT / "envs" / "requirements.lock").read_text()
    for piece, names in pieces().items():
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else "wheels") / piece
        download(folder, locked(lock, names))
        size = sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
        print(f"{folder}: {len(names)} wheels, {size / 1e6:.0f} MB")
        if size > LIMIT:
            sys.exit(f"bleuprint: {folder} is larger than {LIMIT / 1e6:.0f} MB; divide it in bench/gpu.txt.")


if __name__ == "__main__":
    main()
