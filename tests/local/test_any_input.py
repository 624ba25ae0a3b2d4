"""No request causes a server error: any type in any field of a path, a query and a body."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.local.api import queries
from dlt_dbt_cloud.local.api.routes import OPERATIONS
from dlt_dbt_cloud.local.state.records import Overrides
from tests.local import openapi

LARGE = {"DEEP": "[" * 100_000, "LONG": "9" * 5000, "MANY": "x" * 3000}
"""What stands for something large in the requests below, which are to be printed."""
NUMBERS = st.one_of(
    st.integers(), st.sampled_from([2**63, -(2**63), 10**400, 0]), st.floats(), st.booleans()
)
NASTY = ["\0", "\ud800", "💥", "NaN", "null", "[]", "[1e999]", '["a"', "LONG", "../..", "%", "MANY"]
TEXTS = st.one_of(st.text(max_size=30), st.sampled_from(NASTY))
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
FIELDS = dict.fromkeys([*Overrides.__dataclass_fields__, "whatever"], VALUES)
BROKEN = ["DEEP", '{"cause": DEEP', '{"cause": NaN}', "\ud800", '{"a": LONG}']
BODIES = st.one_of(
    st.builds(json.dumps, VALUES),
    st.builds(json.dumps, st.fixed_dictionaries({"cause": TEXTS}, optional=FIELDS)),
    st.sampled_from(BROKEN),
    TEXTS,
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/json; charset=nothing",
        "text/plain",
        "",
    ]
)


def keys() -> list[str]:
    """Returns the query keys that are known, here and by the description."""
    known = {*queries.RUNS, *queries.JOBS, *queries.ARTIFACT, *queries.UNSERVED}
    if openapi.PATH:
        known |= {
            parameter["name"]
            for operations in openapi.spec()["paths"].values()
            for operation in operations.values()
            for parameter in operation.get("parameters", [])
        }
    return sorted(known)


def templates() -> list[str]:
    """Returns the paths of all operations."""
    paths = {operation.path.replace("{id}", "{account}", 1) for operation in OPERATIONS}
    return sorted({*paths, "/accounts/{id}/runs/", "/nothing/{path}", "{path}"})


class Asked(NamedTuple):
    """A request."""

    method: str
    template: str
    parts: list[str]
    query: list[tuple[str, str]]
    body: str
    content_type: str


QUERIED = st.one_of(TEXTS, st.builds(json.dumps, VALUES))
REQUESTS = st.builds(
    Asked,
    st.sampled_from(["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    st.sampled_from(templates()),
    st.lists(st.one_of(TEXTS, st.just("{run}"), st.just("{job}")), min_size=2, max_size=2),
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(keys()), TEXTS),
            st.one_of(TEXTS, st.builds(json.dumps, VALUES)),
        ),
        max_size=3,
    ),
    BODIES,
    TYPES,
)


def enlarged(text: str) -> str:
    """Returns a text as it is sent."""
    for name, large in LARGE.items():
        text = text.replace(name, large)
    return text


class Door:
    """A server, reached without the network, and what exists in it."""

    def __init__(self, client: Client, headers: dict[str, str], known: dict[str, str]) -> None:
        self.client, self.headers, self.known = client, headers, known

    def __repr__(self) -> str:
        return "the server"  # not its log, which is long

    def answer(self, asked: Asked) -> tuple[int, str]:
        """Send a request as it would arrive."""
        path = asked.template.replace("{account}", self.known["{account}"])
        for part in asked.parts:
            name = "{id}" if "{id}" in path else "{path}"
            path = path.replace(name, self.known.get(part, enlarged(part)), 1)
        [(key, enlarged(value)) for key, value in asked.query]
        done = self.client.open(
            "/api/v2" + quote(path, errors="surrogatepass"),
            method=asked.method,
            query_string=urlencode(
                [(key, enlarged(value)) for key, value in asked.query], errors="surrogatepass"
            ),
            data=enlarged(asked.body).encode(errors="surrogatepass"),
            content_type=asked.content_type,
            headers=self.headers,
        )
        return done.status_code, done.text


@pytest.fixture(scope="module")
def served() -> Iterator[Door]:
    """A server with a run that has artifacts."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[20])]) as cloud:
        account, job = cloud.settings()["account_id"], cloud.settings()["job_id"]
        headers = {
            "Authorization": f"Token {cloud.settings()['api_token']}",
            "Host": cloud.url.removeprefix("http://"),
        }
        url = f"{cloud.url}/api/v2/accounts/{account}/jobs/{job}/run/"
        run = requests.post(url, json={"cause": "x"}, headers=headers, timeout=10).json()["data"]
        known = {"{account}": account, "{job}": job, "{run}": str(run["id"])}
        yield Door(Client(cloud._wire), headers, known)


TRIGGER = "/accounts/{account}/jobs/{id}/run/"


@example(Asked("POST", TRIGGER, ["{job}", ""], [], "DEEP", "application/json"))
@example(Asked("POST", TRIGGER, ["{job}", ""], [], '{"cause": "\\ud800"}', "application/json"))
@example(Asked("POST", TRIGGER, ["LONG", ""], [], "{}", "application/json"))
@example(Asked("GET", "/accounts/{id}/runs/", ["LONG", ""], [], "", ""))
@example(Asked("GET", "/accounts/{account}/runs/", ["", ""], [("pk__in", "DEEP")], "", ""))
@example(Asked("GET", "/accounts/{account}/runs/{id}/artifacts/{path}", ["{run}", "7"], [], "", ""))
@given(REQUESTS)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_a_server_error(served: Door, asked: Asked) -> None:
    """Whatever is asked, the answer is no 5xx, except for what is not served, by its name."""
    status, text = served.answer(asked)
    if status >= 500:
        assert status == 501
        assert (
            asked.method == "HEAD"
            or "The local dbt Cloud doesn't " in json.loads(text)["status"]["user_message"]
        )


PAGES = ["/", "/deploy/{}/projects/{}/runs/{}/", "/pages/files/{}", "/pages/runs/{}/cancel"]


@pytest.mark.parametrize("part", ["1", "LONG", "MANY", "\0", "../x", "%00", "{run}", "💥"])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_a_server_error(served: Door, page: str, part: str) -> None:
    """Pages neither, whatever is in their paths and forms."""
    path = page.replace("{}", enlarged(served.known.get(part, part)))
    for method in ("GET", "POST"):
        form = {"form_token": part}
        done = served.client.open(quote(path), method=method, data=form, headers=served.headers)
        assert done.status_code < 500


def test_artifacts_that_are_no_files(tmp_path: Path, make_api: Callable[..., Any]) -> None:
    """Loops and dead ends of links, folders, pipes and strange names are no server error."""
    job = ScriptedJob(statuses=[10], artifacts={"a.json": {}})
    with LocalDBTCloud(jobs=[job], runs_dir=tmp_path) as cloud:
        api = make_api(cloud)
        run_id = api.finished(api.trigger()["id"])["id"]
        target = next(tmp_path.rglob("a.json")).parent
        (target / "loop").symlink_to("loop")
        (target / "around").symlink_to(target)
        (target / "dead").symlink_to("nowhere")
        (target / "folder").mkdir()
        os.mkfifo(target / "pipe")
        Path(os.fsdecode(bytes(target) + b"/\xff")).write_text("x", encoding="utf-8")
        listed = api.get(f"runs/{run_id}/artifacts/")
        assert "a.json" in listed
        assert not {"loop", "dead", "pipe", "folder"} & set(listed)
        names = ["loop", "around", "dead", "folder", "pipe", "%00", "%FF", "x" * 5000, "a/" * 9000]
        for name in names:
            answer = api.session.get(f"{api.account}/runs/{run_id}/artifacts/{name}", timeout=10)
            assert answer.status_code == 404, name
