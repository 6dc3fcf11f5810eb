"""Write environment.yml and envs/bleuprint.yaml from envs/torch.txt and envs/requirements.lock (make lock)."""

import re
from pathlib import Path

ENVS = Path(__file__).parent


def pins() -> list[str]:
    """`name==version` of torch and of every locked package."""
    lock = (ENVS / "requirements.lock").read_text(encoding="utf-8")
    return [(ENVS / "torch.txt").read_text(encoding="utf-8").strip(), *re.findall(r"^[\w.-]+==[^ ;\\]+", lock, re.M)]


def conda_files() -> dict[Path, str]:
    """The conda environments that hold the same packages: file → its text."""
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
