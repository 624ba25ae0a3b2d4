"""The operations, against dbt Labs' OpenAPI description where that file is at hand.

Where it is, each request of these tests that is served, and its answer, is checked as well.
"""

from __future__ import annotations

from typing import Any

import pytest

from dlt_dbt_cloud.local.api.routes import OPERATIONS, Operation
from tests.local import openapi

NEEDS_SPEC = pytest.mark.skipif(
    not openapi.PATH, reason="set DBT_CLOUD_OPENAPI to the path of dbt Labs' openapi-v2.yaml"
)


UNSERVED = [operation for operation in OPERATIONS if not operation.is_served]


@NEEDS_SPEC
def test_all_operations_are_known() -> None:
    """The operations that are served or refused by name are those of the description."""
    described = {
        (openapi.anonymous(path), method.upper()): operation["operationId"]
        for path, operations in openapi.spec()["paths"].items()
        for method, operation in operations.items()
    }
    assert {(it.path, it.method) for it in OPERATIONS} == described.keys()
    assert all(it.name == described[it.path, it.method] for it in UNSERVED)


@pytest.mark.parametrize("operation", UNSERVED, ids=lambda operation: str(operation.name))
def test_what_is_not_served_is_refused_by_name(api: Any, operation: Operation) -> None:
    """An operation that is described but not served is a 501 in the envelope, with its name."""
    path = operation.path
    path = path.replace("{id}", api.settings["account_id"], 1) if "accounts" in path else path
    api.account = f"{api.settings['base_api_url']}/api/v2"
    status, body = api.refusal(operation.method, path[1:].replace("{id}", "7"))
    assert (status, body["status"]["is_success"]) == (501, False)
    assert operation.name in body["status"]["user_message"]


@NEEDS_SPEC
@pytest.mark.parametrize(
    "wrong",
    [
        {"status": {}, "data": {}},
        {"status": {"is_success": True, "user_message": "", "developer_message": ""}, "data": []},
    ],
)
def test_the_check_itself(wrong: Any) -> None:
    """The check refuses what is not as described."""
    template = "/api/v2/accounts/{account_id}/runs/{id}/"
    assert openapi.faults(template, "GET", "answer", wrong) != []
