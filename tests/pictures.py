"""make pictures: the pictures of README and docs, made from real runs: terminal, watch, and the report's page.

It runs the demo with two models, so that no picture is older than what it shows. With --folder it takes a demo that
such a call has finished, and writes only the report again.
"""

import argparse
import base64
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from browser import MISSING, Browser, chromium, visit
from conftest import ROOT
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from bleuprint.commands.alone import CURRENT
from bleuprint.commands.report import report
from bleuprint.files import read_json, replacing, write_json
from bleuprint.record import seal

PICTURES = ROOT / "docs" / "pictures"
DEMO = ["run", "recipe=demo", "model=transformer_tiny,lightconv_tiny"]
TRANSCRIPT = "terminal.txt"  # what the demo printed, beside its results
COLUMNS, LINES = 80, 50
PATIENCE = 1.5  # seconds: watch then waits for its second update
MOMENT = '"num_updates": "300"'  # the line of the training's log at which watch is shown
FONTS = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)  # of a server; every machine has a font of its own
DESKTOP, PHONE = (1280, 900), (390, 844)


def in_terminal(command: list[str], seconds: float | None = None) -> str:
    """Return what a command prints on a terminal; it is ended some seconds after it has begun to print."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    printed, end = b"", None
    while end is None or time.monotonic() < end:
        if not select.select([screen], [], [], 0.1)[0]:
            continue
        try:
            printed += os.read(screen, 65536)
        except OSError:  # the command has ended
            break
        end = end or (time.monotonic() + seconds if seconds else None)
    if seconds:
        process.terminate()
    os.close(screen)
    if process.wait() and not seconds:
        sys.exit(printed.decode(errors="replace"))
    return printed.decode(errors="replace").replace("\r\n", "\n")


def bleuprint(*words: str) -> list[str]:
    """Return the command with these words."""
    return [sys.executable, "-m", "bleuprint.commands.cli", *words]


def draw(name: str, command: list[str], printed: str) -> None:
    """Write a picture of a terminal in which a command was typed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ bleuprint {' '.join(command)}", "bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    picture = console.export_svg(
        title="bleuprint", theme=MONOKAI, code_format=FONTS.sub("", CONSOLE_SVG_FORMAT), unique_id=name
    )
    with replacing(PICTURES / f"{name}.svg") as file:
        file.write(picture)


def demo() -> None:
    """Run the demo in the working folder, and keep what it prints."""
    print("running the demo with two models, which takes some minutes", flush=True)
    printed = in_terminal(bleuprint(*DEMO))
    # Whoever calls it in the checkout's folder, as README says, does not see the checkout's path
    printed = printed.replace(f"--snakefile {ROOT}/Snakefile ", "").replace(f"{ROOT}/", "")
    Path(TRANSCRIPT).write_bytes(printed.encode())


def kept() -> str:
    """Return what the demo printed; in it a carriage return is no line end, as it would be in a text file."""
    return Path(TRANSCRIPT).read_bytes().decode()


def watched() -> str:
    """Return what `bleuprint watch` shows in the midst of the second training, whose log is cut there."""
    last = read_json(CURRENT)["runs"][-1]["stages"]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        shutil.copytree("results", Path(folder, "results"), symlinks=True, copy_function=os.link)
        with contextlib.chdir(folder):
            # A call on another machine counts as running
            write_json(CURRENT, read_json(CURRENT) | {"host": f"not {socket.gethostname()}"})
            for name in ("results/runs", "results/report", last["decoding"], last["scoring"]):
                shutil.rmtree(name)
            Path(last["training"], seal.NAME).unlink()
            log = Path(last["training"], "train.log")
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            end = next(place for place, line in enumerate(lines) if MOMENT in line)
            log.unlink()
            log.write_text("".join(lines[: end + 1]), encoding="utf-8")
            return in_terminal(bleuprint("watch"), PATIENCE)


def shoot(driver: Browser, name: str, width: float, height: float, top: float = 0) -> None:
    """Write a picture of a part of the page."""
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    with replacing(PICTURES / f"{name}.png", "wb") as file:
        file.write(base64.b64decode(picture["data"]))


def pages(index: Path) -> None:
    """Write the pictures of the report's page."""
    with chromium() as driver:
        if driver is None:
            sys.exit(f"bleuprint: {MISSING}")
        for name, (width, height) in {"report-desktop": DESKTOP, "report-phone": PHONE}.items():
            visit(driver, index, width, height)
            shoot(driver, name, width, height)
        visit(driver, index, *DESKTOP)
        Select(driver.find_element(By.ID, "order")).select_by_index(2)  # the worst sentences first
        top, bottom = driver.execute_script("""document.activeElement.blur();
            const place = (selector) => document.querySelector(selector).getBoundingClientRect();
            return [place("#browse").top + scrollY, place("#sentences tbody:nth-of-type(3)").bottom + scrollY]""")
        shoot(driver, "translations", DESKTOP[0], bottom - top + 20, top - 10)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a finished demo (default: run it in .pictures)")
    finished = parser.parse_args().folder
    folder = (finished or ROOT / ".pictures").absolute()
    if not finished:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    PICTURES.mkdir(exist_ok=True)
    os.environ |= {"PYTHONPATH": str(ROOT / "workflow"), "CUDA_VISIBLE_DEVICES": ""}
    with contextlib.chdir(folder):
        if not finished:
            demo()
        draw("terminal", DEMO, kept())
        draw("watch", ["watch"], watched())
        report([run["run"] for run in read_json(CURRENT)["runs"]], None, Path("report"))
        pages(folder / "report" / "index.html")
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
