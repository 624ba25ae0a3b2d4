"""dbt Labs' OpenAPI description, where it is at hand: what it says of a request and its answer."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema  # type: ignore[import-untyped]
import requests
import yaml  # type: ignore[import-untyped]

BASIS = "X-Local-DBT-Cloud-Basis"
PATH = os.environ.get("DBT_CLOUD_OPENAPI")


@cache
def spec() -> Any:
    """The description, with null allowed everywhere: it forgets that most fields may be null."""
    assert PATH
    return nullable(yaml.load(Path(PATH).read_text(encoding="utf-8"), yaml.CSafeLoader))


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


def anonymous(template: str) -> str:
    """Returns a path with one name for all ids, below the version of the API."""
    path = template.removeprefix("/api/v2").replace("{remainder}", "{path}")
    return re.sub(r"\{\w*id\}", "{id}", path)


def operation(method: str, path: str) -> tuple[str, Any]:
    """Find what the description says of a request, and by which template."""
    fits = [t for t in spec()["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path)]
    # The remainder of an artifact's path may have slashes.
    fits += [t for t in spec()["paths"] if t.endswith("{remainder}") and _starts(t, path)]
    assert fits, f"{path} is not described"
    return fits[0], spec()["paths"][fits[0]][method.lower()]


def _starts(template: str, path: str) -> bool:
    head = re.sub(r"\{\w+\}", "[^/]+", template.removesuffix("{remainder}"))
    return re.match(f"{head}.", path) is not None


def faults(template: str, method: str, part: str, body: Any) -> list[str]:
    """Say what is wrong with the body of a request or an answer."""
    found = validator(template, method, part).iter_errors(body)
    return [f"{error.json_path}: {error.message}" for error in found]


@cache
def validator(template: str, method: str, part: str) -> Any:
    """Make the validator of a body of an operation."""
    described = spec()["paths"][template][method.lower()]
    bodies = described["responses"]["200"] if part == "answer" else described["requestBody"]
    schema = bodies["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({**schema, "components": spec()["components"]})


def check(answer: requests.Response) -> None:
    """Check a request that was served, and its answer, against the description."""
    method, split = str(answer.request.method), urlsplit(str(answer.request.url))
    is_file = re.search("/artifacts/.", split.path)
    path = split.path if is_file else f"{split.path.rstrip('/')}/"
    template, described = operation(method, path)
    known = {parameter["name"] for parameter in described["parameters"]}
    assert {name for name, _ in parse_qsl(split.query)} - {"account_id", "step"} <= known
    is_json = answer.request.headers.get("Content-Type") == "application/json"
    if path.endswith("/run/") and is_json:  # Dagster's update of a job is not as described
        found = faults(template, method, "request", json.loads(answer.request.body or ""))
        assert found == [], found
    if not is_file:
        found = faults(template, method, "answer", answer.json())
        assert found == [], found
