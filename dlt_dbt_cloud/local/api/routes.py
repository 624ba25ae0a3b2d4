"""The operations of API v2: those that are served, and the names of the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from werkzeug.exceptions import MethodNotAllowed, NotFound

ROUTES: Final = {
    "get_account": "GET /",
    "get_project": "GET /projects/{id}/",
    "get_environment": "GET /environments/{id}/",
    "list_jobs": "GET /jobs/",
    "get_job": "GET /jobs/{id}/",
    "update_job": "POST /jobs/{id}/",
    "trigger": "POST /jobs/{id}/run/",
    "rerun": "POST /jobs/{id}/rerun/",
    "get_job_artifact": "GET /jobs/{id}/artifacts/{path}",
    "list_runs": "GET /runs/",
    "get_run": "GET /runs/{id}/",
    "cancel": "POST /runs/{id}/cancel/",
    "get_failure": "GET /runs/{id}/retry/",
    "retry": "POST /runs/{id}/retry/",
    "list_artifacts": "GET /runs/{id}/artifacts/",
    "get_artifact": "GET /runs/{id}/artifacts/{path}",
    "get_step": "GET /steps/{id}/",
}
"""The operations that are served, below the account."""

UNSERVED: Final = """
GET /accounts/ List Accounts
POST /accounts/{id}/ Update Account
PATCH /accounts/{id}/ Partial Update Account
GET /accounts/{id}/encryptions/ List SSH Tunnels
POST /accounts/{id}/encryptions/ Create SSH Tunnel
GET /accounts/{id}/encryptions/{id}/ Retrieve SSH Tunnel
POST /accounts/{id}/encryptions/{id}/ Update SSH Tunnel
DELETE /accounts/{id}/encryptions/{id}/ Destroy SSH Tunnel
GET /accounts/{id}/environments/ List Environments
POST /accounts/{id}/environments/ Create Environment
POST /accounts/{id}/environments/{id}/ Update Environment
DELETE /accounts/{id}/environments/{id}/ Destroy Environment
GET /accounts/{id}/invites/ List Invites
GET /accounts/{id}/invites/{id}/ Retrieve Invite
POST /accounts/{id}/jobs/ Create Job
DELETE /accounts/{id}/jobs/{id}/ Destroy Job
GET /accounts/{id}/licenses/ List Account License Allocations
GET /accounts/{id}/notifications/ List Notifications
POST /accounts/{id}/notifications/ Create Notification
GET /accounts/{id}/notifications/{id}/ Retrieve Notification
POST /accounts/{id}/notifications/{id}/ Update Notification
DELETE /accounts/{id}/notifications/{id}/ Destroy Notification
POST /accounts/{id}/permissions/{id}/ Update License Permissions
GET /accounts/{id}/projects/ List Projects
POST /accounts/{id}/projects/ Create Project
POST /accounts/{id}/projects/{id}/ Update Project
DELETE /accounts/{id}/projects/{id}/ Destroy Project
GET /accounts/{id}/repositories/ List Repositories
POST /accounts/{id}/repositories/ Create Repository
GET /accounts/{id}/repositories/{id}/ Retrieve Repository
DELETE /accounts/{id}/repositories/{id}/ Destroy Repository
GET /accounts/{id}/users/ List Users
POST /notifications/unsubscribe/ Unsubscribe from Notifications
GET /users/{id}/ Retrieve User
POST /users/{id}/ Update User
"""
"""The other operations of API v2, by the names that dbt Labs' description gives them."""


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        method: Its method.
        path: What its path below the version of the API must match.
        title: Its name in dbt Labs' description, empty if it is served.
        endpoint: Its name here, empty if it isn't served.
    """

    method: str
    path: re.Pattern[str]
    title: str = ""
    endpoint: str = ""

    @property
    def is_of_account(self) -> bool:
        """Whether the first id of its path is that of the account."""
        return self.path.pattern.startswith("/accounts/(")


def _operations() -> Iterator[Operation]:
    for endpoint, operation in ROUTES.items():
        method, path = operation.split()
        yield Operation(method, _pattern("/accounts/{id}" + path), endpoint=endpoint)
    for line in UNSERVED.strip().splitlines():
        method, path, title = line.split(" ", 2)
        yield Operation(method, _pattern(path), title)


def _pattern(path: str) -> re.Pattern[str]:
    # A path is served with and without its last slash, and an id is a number of 64 bits.
    text = path.replace("{id}", "([0-9]{1,19})").replace("{path}", "(?P<rest>.+)")
    return re.compile(f"{text}?" if text.endswith("/") else text, re.DOTALL)


OPERATIONS: Final = tuple(_operations())


def find(method: str, path: str) -> tuple[Operation, list[Any]]:
    """Find an operation, and what its path says: ids, and the rest of it.

    Raises:
        NotFound: No operation has such a path.
        MethodNotAllowed: None that has it has this method.
    """
    found = [(it, match) for it in OPERATIONS if (match := it.path.fullmatch(path))]
    for operation, match in found:
        if operation.method == method:
            rest = match.groupdict().values()
            ids = match.groups()[: match.re.groups - len(rest)]
            return operation, [*map(int, ids), *rest]
    raise MethodNotAllowed if found else NotFound
