"""The API of the same local dbt Cloud, called within the process: pages know what clients know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from werkzeug.test import Client

from dlt_dbt_cloud._io import Blocking, run
from dlt_dbt_cloud._report import RELATED, read_nodes
from dlt_dbt_cloud.exceptions import DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

RUNS: Final = 30
"""Number of runs that the first page shows."""


class InnerApi:
    """What the pages ask of the API, an application that is served at a URL.

    No page shows its token.
    """

    def __init__(self, api: WSGIApplication, url: str, api_token: str, account_id: str) -> None:
        self._client = Client(api)
        self._url = url
        self._headers = {"Authorization": f"Token {api_token}"}
        self._root = f"/api/v2/accounts/{account_id}"

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the jobs."""
        return list(self._data("/jobs/"))

    def runs(self) -> Iterator[DBTCloudRun]:
        """Yields the last runs, the newest first."""
        related = '["trigger", "job"]'
        runs = self._data("/runs/", order_by="-id", limit=RUNS, include_related=related)
        return map(DBTCloudRun, runs)

    def run(self, run_id: int) -> DBTCloudRun:
        """Returns a run, with its nodes once it has finished."""
        found = DBTCloudRun(self._data(f"/runs/{run_id}/", include_related=json.dumps(RELATED)))
        if found.is_complete:
            run(read_nodes(Blocking(), self, found, iter(())))
        return found

    def trigger(self, job_id: int, cause: str) -> DBTCloudRun:
        """Triggers a job."""
        return DBTCloudRun(self._data(f"/jobs/{job_id}/run/", "POST", {"cause": cause}))

    def cancel(self, run_id: int) -> None:
        """Cancels a run."""
        self._data(f"/runs/{run_id}/cancel/", "POST")

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact, as `RunsApi` does."""
        return json.loads(self._text(f"/runs/{run_id}/artifacts/{path}", step=step))

    def _data(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> Any:
        return json.loads(self._text(path, method, body, **query))["data"]

    def _text(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> str:
        query = {name: value for name, value in query.items() if value is not None}
        answer = self._client.open(
            self._root + path,
            base_url=self._url,
            method=method,
            json=body,
            query_string=query,
            headers=self._headers,
        )
        if answer.status_code != HTTPStatus.OK:
            raise DBTCloudHTTPException(answer.status, url=path, status_code=answer.status_code)
        return answer.get_data(as_text=True)
