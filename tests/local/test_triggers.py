"""The body of a trigger: what is taken, what is refused, what is recorded."""

from __future__ import annotations

from typing import Any

import pytest

OVERRIDES = {
    "git_sha": "abc",
    "git_branch": "feature",
    "schema_override": "elsewhere",
    "dbt_version_override": "1.10-latest",
    "target_name_override": "prod",
    "azure_pull_request_id": 1,
    "github_pull_request_id": 2,
    "gitlab_merge_request_id": 3,
    "non_native_pull_request_id": 4,
    "threads_override": 8,
    "timeout_seconds_override": 60,
    "generate_docs_override": True,
    "steps_override": ["dbt --warn-error run --select a b", "dbt test"],
}


def test_everything_is_recorded(api: Any) -> None:
    """The answer to a trigger echoes cause and overrides, and says that the run is queued."""
    run = api.trigger(**OVERRIDES)
    assert (run["status"], run["status_humanized"], run["started_at"]) == (1, "Queued", None)
    assert run["trigger"].items() >= {"cause": "a test", **OVERRIDES}.items()
    assert (run["git_branch"], run["git_sha"], run["dbt_version"]) == (
        "feature",
        "abc",
        "1.10-latest",
    )
    assert run["job"]["id"] == run["job_id"] == run["job_definition_id"] == api.job_id


def test_a_form_is_as_good_as_json(api: Any) -> None:
    """Clients may post a form."""
    form = {**OVERRIDES, "cause": "a form", "generate_docs_override": "true"}
    run = api.request("POST", f"jobs/{api.job_id}/run/", data=form).json()["data"]
    assert run["trigger"].items() >= {**OVERRIDES, "cause": "a form"}.items()


def test_nulls_and_unknown_keys_are_tolerated(api: Any) -> None:
    """Clients send all overrides as null, and keys that mean nothing here."""
    nulls = dict.fromkeys(OVERRIDES)
    body: dict[str, Any] = {"cause": "x", **nulls, "account_id": 1, "job_id": 2, "whatever": []}
    run = api.post(f"jobs/{api.job_id}/run/", body)
    assert run["trigger"].items() >= nulls.items()


@pytest.mark.parametrize("length", [1, 255])
def test_causes_that_fit(api: Any, length: int) -> None:
    """A cause has 1 to 255 characters."""
    assert api.trigger(cause="x" * length)["trigger"]["cause"] == "x" * length


@pytest.mark.parametrize(
    "override",
    [
        {"cause": ""},
        {"cause": "x" * 256},
        {"cause": 1},
        {"steps_override": "dbt build"},
        {"steps_override": [1]},
        {"steps_override": [""]},
        {"threads_override": "4"},
        {"threads_override": True},
        {"generate_docs_override": "yes"},
        {"schema_override": ""},
    ],
)
def test_wrong_values_are_refused(api: Any, override: dict[str, Any]) -> None:
    """A value of the wrong type is refused by its name, and no run is created."""
    body = {"cause": "x", **override}
    status, answer = api.refusal("POST", f"jobs/{api.job_id}/run/", json=body)
    assert (status, list(answer["data"])) == (400, list(override))
    assert api.get("runs/") == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"cause": null}'])
def test_bodies_without_a_cause_are_refused(api: Any, body: bytes) -> None:
    """The cause is required."""
    headers = {"Content-Type": "application/json"}
    status, answer = api.refusal("POST", f"jobs/{api.job_id}/run/", data=body, headers=headers)
    assert status == 400
    assert isinstance(answer["data"], str)


@pytest.mark.parametrize(
    "step",
    [
        "ls",
        "dbt",
        "dbt docs serve",
        "dbt init",
        "dbt nothing",
        "sh -c 'dbt build'",
        "rm -rf / dbt build",
        "/usr/bin/dbt build",
        "dbt build --target-path /tmp",
        "dbt build --project-dir=/tmp",
        "dbt 'build",
    ],
)
def test_steps_that_are_no_dbt_commands_are_refused(api: Any, step: str) -> None:
    """Only dbt runs, without a shell, on the project of the job."""
    body = {"cause": "x", "steps_override": ["dbt build", step]}
    status, answer = api.refusal("POST", f"jobs/{api.job_id}/run/", json=body)
    assert (status, list(answer["data"])) == (400, ["steps_override"])
