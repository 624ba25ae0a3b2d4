"""The context manager: what it checks before it starts, and what is left after it ends."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import requests

from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, LocalDBTCloudException, ScriptedJob


def test_nothing_is_left(make_api: Callable[..., Any]) -> None:
    """Threads, port and files are gone when the block ends, though a client keeps a connection."""
    before = set(threading.enumerate())
    with LocalDBTCloud(jobs=[ScriptedJob(artifacts={"a.json": {}})]) as cloud:
        api = make_api(cloud)
        api.finished(api.trigger()["id"])
        kept = socket.create_connection(("127.0.0.1", cloud.port))
        port, folder = cloud.port, cloud.runs_dir
        assert folder.is_dir()
    assert set(threading.enumerate()) <= before
    assert not folder.exists()
    kept.close()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_it_can_be_opened_again() -> None:
    """A description of a server can be used again, for another world."""
    cloud = LocalDBTCloud(jobs=[ScriptedJob()], api_token="mine")
    for _ in range(2):
        with cloud:
            assert cloud.settings()["api_token"] == "mine"
            assert cloud.requests == []


def test_several_at_once(make_api: Callable[..., Any]) -> None:
    """Each world is its own: runs and tokens of one are unknown to the other."""
    with LocalDBTCloud(jobs=[ScriptedJob()]) as one, LocalDBTCloud(jobs=[ScriptedJob()]) as two:
        make_api(one).trigger()
        assert make_api(two).get("runs/") == []
        assert one.settings()["api_token"] != two.settings()["api_token"]
        stranger = make_api(one)
        stranger.account = make_api(two).account
        assert stranger.request("GET", "runs/").status_code == 401


def test_only_this_machine_is_served(scripted: LocalDBTCloud) -> None:
    """It listens on loopback alone."""
    assert scripted.url.startswith("http://127.0.0.1:")


def test_credentials(scripted: LocalDBTCloud) -> None:
    """The credentials are what the helper takes, for the first job or another one."""
    credentials = scripted.credentials
    assert credentials.base_api_url == scripted.url
    assert credentials.job_id == str(scripted.jobs[0].id)
    assert scripted.credentials_for("Bad").job_id == str(scripted.jobs[1].id)
    assert scripted.environment["DBT_CLOUD__ACCOUNT_ID"] == credentials.account_id
    with pytest.raises(LookupError, match=r"'Ugly'.*'Good', 'Bad'"):
        scripted.credentials_for("Ugly")


def test_runs_can_be_kept(tmp_path: Path, make_api: Callable[..., Any]) -> None:
    """With a folder of the user's own, artifacts stay."""
    with LocalDBTCloud(jobs=[ScriptedJob(artifacts={"a.json": {}})], runs_dir=tmp_path) as cloud:
        api = make_api(cloud)
        run_id = api.finished(api.trigger()["id"])["id"]
    assert [path.name for path in tmp_path.rglob("a.json")] == ["a.json"]
    assert (tmp_path / f"run_{run_id}").is_dir()


def test_links_out_of_the_artifacts_are_not_followed(
    tmp_path: Path, make_api: Callable[..., Any]
) -> None:
    """An artifact that is a link to somewhere else is neither listed nor served."""
    job = ScriptedJob(artifacts={"a.json": {}})
    with LocalDBTCloud(jobs=[job], runs_dir=tmp_path) as cloud:
        api = make_api(cloud)
        run_id = api.finished(api.trigger()["id"])["id"]
        target = next(tmp_path.rglob("a.json")).parent
        (target / "passwd").symlink_to("/etc/passwd")
        (target / "etc").symlink_to("/etc")
        assert api.get(f"runs/{run_id}/artifacts/") == ["a.json"]
        for path in ("passwd", "etc/passwd"):
            assert api.request("GET", f"runs/{run_id}/artifacts/{path}").status_code == 404


def refused(*, match: str, **arguments: Any) -> None:
    """Try to start, and see that nothing does."""
    before = set(threading.enumerate())
    with pytest.raises(LocalDBTCloudException, match=match):
        LocalDBTCloud(**arguments).__enter__()
    assert set(threading.enumerate()) == before


def test_port_in_use(scripted: LocalDBTCloud) -> None:
    """A port that is in use is named, with what to do."""
    refused(jobs=[ScriptedJob()], port=scripted.port, match="Choose another port")


def test_no_job() -> None:
    """Without a job there is nothing to serve."""
    refused(match="needs a job")


def test_no_project(tmp_path: Path) -> None:
    """A folder without a dbt project is named."""
    refused(project_dir=tmp_path, match=r"there is no dbt_project\.yml")


def test_no_dbt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without dbt it is said how to install it."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    refused(project_dir=tmp_path, match=r"pip install '\.\[local-duckdb\]'")


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("dbt_project.yml", "name: [", "does not parse"),
        ("dbt_project.yml", "just text", "holds no settings"),
        ("dbt_project.yml", "name: tiny", "names no profile"),
        ("profiles.yml", "tiny: {", "does not parse"),
        ("profiles.yml", "other: {}", "has no profile 'tiny'.*has: other"),
        ("profiles.yml", "tiny: {}", "has no outputs"),
        ("profiles.yml", "tiny: {target: x, outputs: {dev: {}}}", "no target 'x'.*has: dev"),
        ("profiles.yml", None, "No dbt profile"),
    ],
)
def test_project_or_profile_that_can_not_be_used(  # noqa: PLR0917  # called by pytest
    make_project: Callable[..., DBTJob],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    file: str,
    content: str | None,
    match: str,
) -> None:
    """What doesn't parse, or doesn't fit together, is named by its file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    job = make_project()
    path = Path(job.project_dir) / file
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    refused(jobs=[job], match=match)


@pytest.mark.parametrize("steps", [(), ("dbt build", "sh x"), "dbt build"])
def test_steps_that_can_not_run(make_project: Callable[..., DBTJob], steps: Any) -> None:
    """A job whose steps are no dbt commands isn't started."""
    refused(jobs=[make_project(steps=steps)], match="step")


def test_any_path_needs_the_token(scripted: LocalDBTCloud) -> None:
    """Outside of the API there is nothing, not even without a token."""
    assert requests.get(f"{scripted.url}/elsewhere", timeout=10).status_code == 401


def test_runs_dir_over_two_servers(tmp_path: Path) -> None:
    """A folder that is kept keeps the runs of each server, as no two runs have one id."""
    ids = []
    for _ in range(2):
        with LocalDBTCloud(jobs=[ScriptedJob()], runs_dir=tmp_path) as cloud:
            ids.append(run_dbt_cloud_job(cloud.credentials, wait_seconds=0.1).id)
    assert ids[1] > ids[0]
    assert len(list(tmp_path.glob("run_*/**/run_results.json"))) == 2


def test_requests_are_kept(api: Any, scripted: LocalDBTCloud) -> None:
    """A test can look at what was asked, without the token."""
    api.trigger()
    api.request("GET", "runs/", params={"limit": 7})
    posted, listed = scripted.requests
    assert (posted.method, posted.status, posted.body) == ("POST", 200, '{"cause": "a test"}')
    assert re.search(r"/runs/\?limit=7$", listed.path)
    assert api.settings["api_token"] not in repr(scripted.requests)
