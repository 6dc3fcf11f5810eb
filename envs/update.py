"""Write environment.yml and envs/bleuprint.yaml from envs/torch.txt and envs/requirements.lock (make lock)."""

import re
from pathlib import Path

ENVS = Path(__file__).parent


def pins() -> list[str]:
    """`name==version` of torch and of every locked package."""
    files = [ENVS / "torch.txt", ENVS / "requirements.lock"]
    return [pin for file in files for pin in re.findall(r"^[\w.-]+==[^\s;\\]+", file.read_text("utf-8"), re.M)]


def conda_files() -> dict[Path, str]:
    """Return the conda environments that hold the same packages: file → its text."""
    packages = "".join(f"      - {pin}\n" for pin in pins())
    body = f"channels: [conda-forge]\ndependencies:\n  - python >=3.11,<3.13\n  - pip\n  - pip:\n{packages}"
    written = "# Written by envs/update.py from the lock; do not edit.\n"
    return {
        ENVS.parent / "environment.yml": f"{written}name: bleuprint\n{body}      - -e .\n",
        ENVS / "bleuprint.yaml": written + body,
    }


if __name__ == "__main__":
    for path, text in conda_files().items():
        path.write_text(text, encoding="utf-8")
