"""Each block of each page runs, or is output that is compared."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dlt
import pytest
import tomlkit

from dlt_dbt_cloud import (
    DBTCloudConfiguration,
    DBTCloudRun,
    check_dbt_cloud_job,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.local.config import jobs_from_toml
from tests.docs.pages import PAGES, ROOT, SAMPLES, blocks, page
from tests.utils import sample

pytestmark = pytest.mark.slow

SETTINGS = set(DBTCloudConfiguration.get_resolvable_fields())
OF_A_FILE = re.compile(r"# \S+\.py\n")
"""How a block begins that is a file of its own: a test or a DAG, run as such by other tests."""

FAILED = {"run_results.json": sample("run_results")}
JOBS = {"docs/reports.md": ScriptedJob("Nightly", statuses=[20], artifacts=FAILED)}
PRINTED = {
    "README.md": ["of job Nightly flights: Success"],
    "docs/getting-started.md": ["of job Nightly flights: Success"],
    "docs/reports.md": [
        "ok   job      Nightly",
        "punctuality models/marts/punctuality.sql Runtime",
    ],
    "docs/select.md": ["False dbt Cloud run"],
}
OUTPUT = {
    "README.md": ["test_success_as_shown", "test_sample_pipelines.py"],
    "docs/architecture.md": ["test_pages.py"],
    "docs/getting-started.md": ["test_shell"],
    "docs/reports.md": ["test_check_as_shown", "tests/report/test_docs.py"],
    "docs/select.md": ["test_selection_as_shown"],
}
"""The tests that compare the blocks of output."""


def named(path: Path) -> str:
    """Returns the name of a page, as in the tables above."""
    return str(path.relative_to(ROOT))


def having(language: str) -> list[Path]:
    """Returns the pages that have blocks in a language."""
    return [path for path in PAGES if blocks(path, language)]


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud that the examples find in their environment."""
    path = request.getfixturevalue("path") if "path" in request.fixturenames else PAGES[0]
    job = JOBS.get(named(path), ScriptedJob("Nightly flights", statuses=[3, 10]))
    with LocalDBTCloud(job, virtual_time=True) as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.mark.parametrize("path", [*PAGES, *SAMPLES], ids=named)
def test_languages(path: Path) -> None:
    """Each block is in a language that a test runs or compares, output as often as a test says."""
    languages = re.findall(r"^```(\w*)\n(?:.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    assert set(languages) <= {"python", "sh", "sql", "toml", "yaml", "text"}
    assert languages.count("text") == len(OUTPUT.get(named(path), []))


@pytest.mark.parametrize("path", having("python"), ids=named)
def test_python(
    path: Path,
    cloud: LocalDBTCloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The Python examples of a page run one after the other, and print what the page says."""
    if named(path) == "docs/local.md":  # its examples start their own
        for name in cloud.environment:
            monkeypatch.delenv(name)
    namespace: dict[str, object] = {}
    for block in blocks(path, "python"):
        if not OF_A_FILE.match(block):
            exec(block, namespace)  # noqa: S102  # our own page
    printed = capsys.readouterr().out
    assert [it for it in PRINTED.get(named(path), []) if it not in printed] == []


@pytest.mark.parametrize("path", having("toml"), ids=named)
def test_toml(path: Path, dlt_world: Path) -> None:
    """The settings in TOML exist, and jobs of the local dbt Cloud can be read."""
    for block in blocks(path, "toml"):
        if "[[jobs]]" in block:
            file = dlt_world / "jobs.toml"
            file.write_text(block)
            assert jobs_from_toml(file)
            continue
        sections = tomlkit.parse(block).unwrap()
        own = [sections["dbt_cloud"]]
        own += [it["dbt_cloud"] for it in sections.values() if "dbt_cloud" in it]
        assert {name for section in own for name in section} <= SETTINGS


@pytest.mark.parametrize("path", having("sh"), ids=named)
def test_shell(path: Path, cloud: LocalDBTCloud, dlt_world: Path) -> None:
    """The commands of a page run one after the other. What they install and make is there."""
    make_world(dlt_world)
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
    pipeline.run([{"id": 1, "amount": 12.5}], table_name="orders")
    makefile = (ROOT / "Makefile").read_text()
    printed = before = ""
    for command in commands(path):
        if command.startswith("pip "):
            names = ",".join(re.findall(r"\.\[([\w,-]+)\]", command))
            assert set(filter(None, names.split(","))) <= extras(), command
        elif command.startswith("make "):
            assert f"\n{command.removeprefix('make ')}:" in makefile, command
        else:
            before = run(command, cloud, before)
            printed += before
    if named(path) == "docs/getting-started.md":
        (shown,) = blocks(path, "text")
        assert masked(shown) in masked(printed)


def commands(path: Path) -> list[str]:
    """Returns the commands of a page, but those that an earlier page has too."""
    earlier = {line for page in PAGES[: PAGES.index(path)] for line in commands(page)}
    lines = "".join(blocks(path, "sh")).splitlines()
    return [line for line in lines if line not in earlier]


def masked(text: str) -> str:
    """Returns a text without its numbers, which are others in each run."""
    return re.sub(r"\d+", "N", text)


def make_world(folder: Path) -> None:
    """Writes the project and the pipeline of "Getting started"."""
    text = page("getting-started")
    files = dict(re.findall(r"`(shop_dbt/[\w/.]+)`\n\n```\w+\n(.*?)```", text, re.DOTALL))
    files["shop_pipeline.py"] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert len(files) == 4
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def run(command: str, cloud: LocalDBTCloud, before: str) -> str:
    """Returns what a command prints. One that serves is ended with Ctrl-C as soon as it does."""
    ids = re.findall(r"dbt Cloud run (\d+)", before)
    command = command.replace("dlt dbt-cloud", f"{sys.executable} -m dlt_dbt_cloud")
    command = command.replace("RUN_ID", ids[-1] if ids else "RUN_ID")
    serves_or_wraps = "dlt_dbt_cloud.local" in command
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": "true",
    }
    for name in cloud.environment if serves_or_wraps else ():
        del environment[name]
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],  # noqa: S607  # of whatever machine
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        if serves_or_wraps and " -- " not in command:
            assert started.stdout
            assert "Serving" in started.stdout.readline()
            started.send_signal(signal.SIGINT)
        answers = f"{cloud.url}\n{cloud.credentials.account_id}\n"
        printed, _ = started.communicate(answers, timeout=120)
    in_progress = 6
    assert started.returncode in ({0, in_progress} if "--no-wait" in command else {0}), printed
    return printed


def extras() -> set[str]:
    """Returns the extras of the package."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    return set(project["optional-dependencies"])


def test_success_as_shown() -> None:
    """The README shows what `print(run)` prints."""
    shown = blocks(ROOT / "README.md", "text")[0]
    assert shown == f"{DBTCloudRun(sample('run_success_related')['data'])}\n"


def test_check_as_shown(cloud: LocalDBTCloud) -> None:
    """A check looks at what the page shows, in the same order."""
    lines = blocks(ROOT / "docs" / "reports.md", "text")[0].splitlines()
    run_dbt_cloud_job()
    checked = [finding.check for finding in check_dbt_cloud_job().findings]
    assert [line.split()[1] for line in lines] == checked


def test_selection_as_shown() -> None:
    """The log says of a selection what the page shows."""
    (shown,) = blocks(ROOT / "docs" / "select.md", "text")
    code = (ROOT / "dlt_dbt_cloud" / "_start" / "select.py").read_text()
    for part in ("Building what is downstream of ", " source tables have changed with "):
        assert part in shown
        assert part in code
