"""A journey through the API against dbt Labs' OpenAPI description, where that file is at hand."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob


@pytest.fixture(scope="module")
def spec() -> Any:
    """The description, with null allowed everywhere: it forgets that most fields may be null."""
    path = os.environ.get("DBT_CLOUD_OPENAPI")
    if not path:
        pytest.skip("set DBT_CLOUD_OPENAPI to the path of dbt Labs' openapi-v2.yaml")
    return nullable(yaml.safe_load(Path(path).read_text(encoding="utf-8")))


def nullable(node: Any) -> Any:
    """Allow null wherever a schema names a type or the values."""
    if isinstance(node, list):
        return [nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: nullable(value) for key, value in node.items()}
    if isinstance(changed.get("type"), str) and changed["type"] != "apiKey":
        changed["type"] = [changed["type"], "null"]
    if isinstance(changed.get("enum"), list):
        changed["enum"] = [*changed["enum"], None]
    if set(changed) == {"$ref"}:
        return {"anyOf": [changed, {"type": "null"}]}
    return changed


def operation(spec: Any, method: str, path: str) -> Any:
    """Find what the description says of a request."""
    for template, operations in spec["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return operations[method.lower()]
    raise AssertionError(f"{path} is not described")


def check(spec: Any, schema: Any, body: Any) -> None:
    """Check a body against a schema of the description."""
    jsonschema.Draft202012Validator({**schema, "components": spec["components"]}).validate(body)


def journey(api: Any, good: int, bad: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through all of the API, with requests as clients send them."""
    run_id = api.trigger(good)["id"]
    failed_id = api.trigger(bad)["id"]
    api.finished(run_id)
    api.finished(failed_id)
    everything = '["trigger","job","environment","run_steps","debug_logs"]'
    [step] = api.run(run_id, "run_steps")["run_steps"]
    yield "GET", "jobs/", {"params": {"limit": 1, "name__icontains": "good"}}
    yield "GET", f"jobs/{good}/", {}
    yield "POST", f"jobs/{good}/run/", {"json": {"cause": "x", "steps_override": ["dbt run"]}}
    yield "POST", f"jobs/{good}/rerun/", {}
    yield "GET", "runs/", {"params": {"status__in": "[1,2,3]", "include_related": "trigger,job"}}
    yield "GET", f"runs/{run_id}/", {}
    yield "GET", f"runs/{run_id}/", {"params": {"include_related": everything}}
    yield "GET", f"runs/{failed_id}/retry/", {}
    yield "POST", f"runs/{failed_id}/retry/", {}
    yield "POST", f"runs/{failed_id}/cancel/", {}
    yield "GET", f"runs/{run_id}/artifacts/", {}
    yield "GET", f"runs/{failed_id}/artifacts/", {}
    yield "GET", f"steps/{step['id']}/", {}


def test_a_journey_is_as_described(spec: Any, make_api: Callable[..., Any]) -> None:
    """Requests are ones that the description knows, and answers have the types that it says."""
    jobs = [
        ScriptedJob(name="Good", artifacts={"manifest.json": {}}),
        ScriptedJob(name="Bad", statuses=[20]),
    ]
    with LocalDBTCloud(jobs=jobs) as cloud:
        api = make_api(cloud)
        for method, path, more in journey(api, *(job.id for job in cloud.jobs)):
            answer = api.request(method, path, **more)
            assert answer.status_code == 200, (method, path, answer.text)
            described = operation(spec, method, answer.request.path_url.partition("?")[0])
            content = described["responses"]["200"]["content"]["application/json"]
            check(spec, content["schema"], answer.json())
        for request in cloud.requests:
            path, _, query = request.path.partition("?")
            described = operation(spec, request.method, path)
            known = {parameter["name"] for parameter in described["parameters"]}
            assert {item.partition("=")[0] for item in query.split("&") if item} <= known
            if request.body not in ("", "null"):
                content = described["requestBody"]["content"]["application/json"]
                check(spec, content["schema"], json.loads(request.body))


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": {}, "data": {}},
        {"status": {"is_success": True, "user_message": "", "developer_message": ""}, "data": []},
    ],
)
def test_the_check_itself(spec: Any, wrong: Any) -> None:
    """The check refuses what is not as described."""
    with pytest.raises(jsonschema.ValidationError):
        check(spec, {"$ref": "#/components/schemas/RunResponseEnveloped"}, wrong)
