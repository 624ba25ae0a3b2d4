"""The table of behaviours: each answer says what it rests on, and strict refuses guesses."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud.local import Fault, LocalDBTCloud, Scene, ScriptedJob
from dlt_dbt_cloud.local.api.behaviours import BEHAVIOURS, HEADER, Basis, table
from dlt_dbt_cloud.local.api.endpoints import Endpoints
from dlt_dbt_cloud.local.api.routes import OPERATIONS
from tests.local.reference import between

ROOT = Path(__file__).parents[2]
SOURCES = list((ROOT / "dlt_dbt_cloud" / "local").rglob("*.py"))


@pytest.fixture
def strict(make_api: Callable[..., Any]) -> Iterator[Any]:
    """A client of a server that refuses guesses."""
    with LocalDBTCloud(
        jobs=[ScriptedJob(), ScriptedJob(name="Bad", statuses=[20])], strict=True
    ) as cloud:
        yield make_api(cloud)


def test_the_table_is_whole() -> None:
    """Each operation has a row, each row is of an operation or a case, guesses name no source."""
    names = [row.name for row in BEHAVIOURS]
    assert len(names) == len(set(names))
    served = {operation.name for operation in OPERATIONS if operation.is_served}
    assert served <= set(names)
    assert {name.partition(".")[0] for name in names} - served == {"any", "scene", "fault"}
    assert all(callable(getattr(Endpoints, name)) for name in served)
    assert {f"scene.{scene.value}" for scene in Scene} <= set(names)
    for row in BEHAVIOURS:
        assert row.where or row.basis is Basis.GUESS, row.name


def test_guesses_are_marked_where_they_are_made() -> None:
    """No guess of the table is without a place in the code that marks it."""
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for row in BEHAVIOURS:
        case = row.name.partition(".")[2]
        if row.is_guess and not row.name.startswith("fault."):
            assert f'"{row.name}"' in code or f'"{case}"' in code, row.name


@pytest.mark.parametrize(
    ("method", "path", "more", "basis"),
    [
        ("GET", "runs/", {}, "recorded; list_runs"),
        ("GET", "jobs/", {"params": {"limit": 101}}, "guess; list_jobs.limit"),
        ("GET", "runs/", {"params": {"status__in": "[1]"}}, "client; list_runs.filter"),
        ("GET", "runs/", {"params": {"x": 1}}, "recorded; any.unknown_key"),
        ("GET", "runs/1/", {}, "recorded; any.not_found"),
        ("GET", "", {}, "spec; get_account"),
        ("POST", "jobs/{}/run/", {"json": {"cause": "x"}}, "recorded; trigger"),
        ("POST", "jobs/{}/run/", {"json": {}}, "guess; trigger.no_cause"),
        ("POST", "jobs/{}/run/", {"json": {"cause": "x" * 256}}, "guess; trigger.long_cause"),
        ("POST", "jobs/{}/rerun/", {}, "guess; rerun.cause"),
        ("GET", "users/", {}, "guess; any.unserved"),
    ],
)
def test_each_answer_says_what_it_rests_on(
    api: Any, method: str, path: str, more: dict[str, Any], basis: str
) -> None:
    """The header names the weakest behaviour that an answer shows."""
    answer = api.request(method, path.format(api.job_id), **more)
    assert answer.headers[HEADER] == basis


def test_faults_say_what_they_rest_on(api: Any, scripted: LocalDBTCloud) -> None:
    """Also an answer that a test has asked for says whether anyone has seen it."""
    scripted.fail_next(Fault.commit_then_answer(502))
    scripted.fail_next(Fault.too_many_requests())
    told = [api.request("GET", "runs/").headers[HEADER] for _ in range(2)]
    assert told == ["recorded; fault.html", "guess; fault.other_json"]


def test_a_guess_is_logged_once(
    api: Any, scripted: LocalDBTCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """The first use of a guess is a line in the log, later ones and what is known are none."""
    with caplog.at_level(logging.WARNING, logger="dlt.dbt_cloud"):
        run_id = api.trigger()["id"]
        for _ in range(3):
            api.post(f"runs/{run_id}/cancel/")
    assert [record.getMessage() for record in caplog.records] == [
        (
            "The local dbt Cloud guesses: Leaves a finished run as it is, and succeeds. "
            "(cancel.finished)"
        )
    ]


def test_strict_refuses_guesses(strict: Any) -> None:
    """A request that rests on a guess is a 501 that says so, and changes nothing."""
    failed = strict.finished(strict.trigger(strict.get("jobs/")[1]["id"])["id"])
    for method, path, more in [
        ("POST", f"jobs/{strict.job_id}/run/", {"json": {}}),
        ("POST", f"jobs/{strict.job_id}/run/", {"json": {"cause": "x", "steps_override": []}}),
        ("POST", f"runs/{failed['id']}/retry/", {}),
        ("POST", f"runs/{failed['id']}/cancel/", {}),
        ("POST", f"jobs/{strict.job_id}/rerun/", {}),
        ("GET", "runs/", {"params": {"limit": 1000}}),
    ]:
        status, body = strict.refusal(method, path, **more)
        assert status == 501, path
        assert body["status"]["user_message"].startswith("strict=True refuses what is a guess: ")
    assert [run["id"] for run in strict.get("runs/")] == [failed["id"]]


def test_strict_serves_what_is_known(strict: Any) -> None:
    """A pipeline's own way through the API, up to the artifacts, rests on no guess."""
    run = strict.finished(strict.trigger()["id"])
    assert strict.get(f"runs/{run['id']}/artifacts/") == ["run_results.json"]
    assert strict.artifact(run["id"], "run_results.json")["results"] == []
    assert strict.refusal("GET", "runs/1/")[0] == 404


def test_the_docs_have_the_table() -> None:
    """The table of the docs is the one that the command prints."""
    command = [sys.executable, "-m", "dlt_dbt_cloud.local", "--fidelity"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == table()
    assert between("fidelity").strip() == table()
