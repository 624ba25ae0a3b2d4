"""The pictures of the README, from a real run: `make pictures`."""

import os
import pty
import select
import shutil
import struct
import sys
import tempfile
import termios
from collections.abc import Iterator
from fcntl import ioctl
from html import escape
from pathlib import Path
from typing import Any

import pyte
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS, LINES = 132, 44
WIDTH, HEIGHT = 8.43, 18
FRAMES = 8
NBSP = "\u00a0"
"""Other spaces are one in SVG, however many."""

SCRIPT = """\
import dlt
from dlt_dbt_cloud import run_dbt_cloud_job

PAYMENTS = [
    {"id": 1, "customer": "Ada", "amount": "19.90"},
    {"id": 2, "customer": "Grace", "amount": "12,50"},
]
duckdb = dlt.destinations.duckdb("recovery.duckdb")
pipeline = dlt.pipeline("recovery", destination=duckdb, dataset_name="shop")
load_info = pipeline.run(PAYMENTS, table_name="payments")
run = run_dbt_cloud_job(load_info=load_info)
print(run)
run.save_report("run.html")
"""
COMMAND = [
    *(sys.executable, "-m", "dlt_dbt_cloud.local", "--project-dir", ".", "--name", "Payments"),
    *("--step", "dbt run --select staging", "--step", "dbt build --select marts"),
    *("--", sys.executable, "pipeline.py"),
]
BROWSER = [
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def main() -> None:
    """Makes all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "recovery_dbt"
        shutil.copytree(ROOT / "sample_pipelines" / "recovery_dbt", work)
        (work / "pipeline.py").write_text(SCRIPT)
        frames = list(screens(work))
        (IMAGES / "terminal.svg").write_text(svg(picked(frames)))
        photograph(work / "run.html", IMAGES / "page.png")


def screens(folder: Path) -> Iterator[list[str]]:
    """Yields what a terminal shows while the script runs, whenever it has changed."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(b"$ python pipeline.py\r\n")
    shown: list[str] = []
    for output in outputs(folder):
        stream.feed(output)
        now = [line.rstrip() for line in screen.display]
        if now != shown:
            shown = now
            yield now


def outputs(folder: Path) -> Iterator[bytes]:
    """Yields what the script writes to its terminal."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(folder)
        environment = {**os.environ, "TERM": "xterm", "PIPELINES_DIR": str(folder / "pipelines")}
        environment.pop("CI", None)
        os.execve(sys.executable, COMMAND, environment)  # noqa: S606  # a child of ours
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    while True:
        select.select([terminal], [], [])
        try:
            output = os.read(terminal, 65536)
        except OSError:  # the script has ended
            break
        if not output:
            break
        yield output
    os.waitpid(child, 0)


def picked(frames: list[list[str]]) -> list[list[str]]:
    """Returns a few of the frames, evenly, and the last."""
    step = max(1, len(frames) // FRAMES)
    return [*frames[:-1:step], frames[-1]]


def svg(frames: list[list[str]]) -> str:
    """Returns frames as an animation that needs no script and no font of others."""
    height = max(place for frame in frames for place, line in enumerate(frame) if line) + 1
    size = f"{COLUMNS * WIDTH + 32:.0f} {height * HEIGHT + 32}"
    seconds = len(frames) + 4.0
    shown = "".join(
        f'<g visibility="hidden">{_rows(frame)}{_times(place, len(frames), seconds)}</g>'
        for place, frame in enumerate(frames[:-1])
    )
    last = f"<g>{_rows(frames[-1])}{_times(len(frames) - 1, len(frames), seconds)}</g>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">'
        "<title>A script runs a dbt Cloud job: the line that lives, and what failed</title>"
        '<rect width="100%" height="100%" rx="8" fill="#161b22"/>'
        '<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace"'
        f' font-size="14" fill="#e6edf3">{shown}{last}</g></svg>\n'
    )


def _rows(frame: list[str]) -> str:
    return "".join(
        f'<text x="16" y="{28 + place * HEIGHT}">{escape(line.replace(" ", NBSP))}</text>'
        for place, line in enumerate(frame)
        if line
    )


def _times(place: int, count: int, seconds: float) -> str:
    begin = place / seconds
    end = 1.0 if place == count - 1 else (place + 1) / seconds
    values = ["hidden", "visible", "hidden"] if place else ["visible", "visible", "hidden"]
    keys = f"0;{max(begin, 0.0001):.4f};{min(end, 0.9999):.4f}"
    return (
        f'<animate attributeName="visibility" dur="{seconds}s" repeatCount="indefinite"'
        f' calcMode="discrete" values="{";".join(values)}" keyTimes="{keys}"/>'
    )


def photograph(page: Path, picture: Path) -> None:
    """Takes a picture of a page."""
    options: dict[str, Any] = {"viewport": {"width": 1100, "height": 900}}
    with sync_playwright() as playwright:
        executable = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER)
        window = browser.new_page(**options)
        window.goto(page.as_uri())
        window.screenshot(path=str(picture), full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
