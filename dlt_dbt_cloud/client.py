"""A client of dbt Cloud's Administrative API v2: one short method per operation."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

import dlt

from dlt_dbt_cloud import _io
from dlt_dbt_cloud._api import PAGE, Page
from dlt_dbt_cloud._http.responses import object_of, parse_json, typed
from dlt_dbt_cloud._http.transport import Transport
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud._start.order import Order, RetryOrder
from dlt_dbt_cloud._start.trigger import Trigger
from dlt_dbt_cloud._values import dict_of, int_of
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    may_use_http,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import DBTCloudResponseException
from dlt_dbt_cloud.exceptions import (
    InvalidCredentialsException as InvalidCredentialsException,  # noqa: PLC0414  # dlt has it here
)
from dlt_dbt_cloud.run import DBTCloudRun

P = ParamSpec("P")
T = TypeVar("T")


class DBTCloudClientV2:
    """Requests to the API v2 of one account, from any number of threads.

    Arguments that are not passed are read from the settings: `DBTCloudClientV2()` finds its token,
    account and host by itself. Reads are retried while the API is unavailable. Without a usable
    answer, reads raise a `DBTCloudAPIException`; `trigger_run` and `retry_run` raise what their
    docstrings list. All raise an `InvalidCredentialsException` before any request if `account_id`
    or another id is missing or malformed.

    Args:
        api_token: Service token or personal access token.
        account_id: Id of the account.
        base_api_url: Access URL of the account, with or without `/api`, `/api/v2`.
        credentials: A `DBTCloudConfiguration` with these and more settings.
        outage_timeout: How long reads are retried, in seconds. With 0 they are not.
        io: Clock and sleep, for tests.
    """

    api_version = "v2"

    @with_dbt_cloud_configuration
    def __init__(
        self,
        api_token: str = dlt.secrets.value,
        account_id: int | str | None = None,
        base_api_url: str = DBTCloudConfiguration.base_api_url,
        *,
        credentials: DBTCloudConfiguration = dlt.secrets.value,
        outage_timeout: float | None = None,
        io: _io.IO | None = None,
    ) -> None:
        self.account_id = account_id
        self.accounts_url = f"accounts/{account_id}"
        self.base_api_url = base_api_url
        self.outage_timeout = outage_timeout or 0.0
        self._io = io or _io.Blocking(credentials.request_timeout)
        self._transport = Transport(
            api_token,
            base_api_url,
            credentials.request_timeout,
            credentials.max_artifact_bytes,
            # A proxy would see what is sent over plain HTTP.
            trust_env=not may_use_http(urlsplit(base_api_url).hostname or ""),
        )

    def get_endpoint(self, endpoint: str) -> Any:
        """Returns the whole answer to a GET request, e.g. to `accounts/1/runs/2/`."""
        return self._read(self._transport.send, "GET", endpoint)

    def post_endpoint(self, endpoint: str, json_body: Mapping[Any, Any] | None = None) -> Any:
        """Returns the whole answer to a POST request, which is sent once."""
        return self._transport.send("POST", endpoint, json=json_body)

    def post_run(self, job_id: int | str, body: Mapping[str, Any]) -> DBTCloudRun:
        """Creates a run, in one request. If the answer is lost, only `trigger_run` finds it."""
        path = self._account_path(f"jobs/{required_id('job_id', job_id)}/run/")
        return _run(path, self._transport.send("POST", path, json=body)["data"])

    def post_retry(self, run_id: int | str) -> DBTCloudRun:
        """Continues a failed run, in one request. Prefer `retry_run`: see `post_run`."""
        path = self._run_path(run_id, "retry/")
        return _run(path, self._transport.send("POST", path)["data"])

    def trigger_job_run(self, job_id: int | str, data: Mapping[str, Any] | None = None) -> int:
        """Triggers a job exactly once, and returns the id of the new run.

        Args:
            job_id: The job.
            data: Body of the request: `cause` and overrides, see `DBTCloudConfiguration`.

        Raises:
            InvalidCredentialsException: If `account_id` or `job_id` is missing or malformed.
            DBTCloudHTTPException: If the API refuses.
            DBTCloudNotTriggeredException: If the API stays unavailable, and created no run.
            DBTCloudTriggerOutcomeUnknownException: If it may have created one.
        """
        return self.trigger_run(job_id, data).id

    def trigger_run(self, job_id: int | str, data: Mapping[str, Any] | None = None) -> DBTCloudRun:
        """Triggers a job exactly once, and returns the new run. See `trigger_job_run`."""
        given = data or {}
        request = {**given, "cause": given.get("cause") or DBTCloudConfiguration.cause}
        return self._once(Order(job_id=required_id("job_id", job_id), request=request))

    def retry_run(self, run_id: int | str) -> DBTCloudRun:
        """Retries a failed run from its failed step, exactly once, and returns the new run.

        `can_retry` and `retry_not_supported_reason` of the run say whether the API can.

        Args:
            run_id: The failed run.

        Raises:
            InvalidCredentialsException: If `account_id` or `run_id` is missing or malformed.
            DBTCloudHTTPException: If the API refuses.
            DBTCloudNotTriggeredException: If the API stays unavailable, and created no run.
            DBTCloudTriggerOutcomeUnknownException: If it may have created one.
        """
        failed = self.get_run_status(run_id)
        return self._once(RetryOrder(job_id=failed.job_id, failed_id=failed.id))

    def get_retry(self, run_id: int | str) -> dict[str, Any]:
        """Returns what a retry of the run would do: `failed_step` and `skipped_steps`."""
        path = self._run_path(run_id, "retry/")
        return object_of(path, self._data(path))

    def get_run_status(
        self, run_id: int | str, *, include_related: Sequence[str] = ()
    ) -> DBTCloudRun:
        """Returns a run.

        Args:
            run_id: The run.
            include_related: Related objects to include: any of `trigger`, `job`, `environment`,
                `repository`, `run_steps`, `audit`, `debug_logs`. Others are null.
        """
        path = self._run_path(run_id)
        return _run(path, self._data(path, include_related=include_related), run_id)

    def get_runs(self, **query: Any) -> Page[DBTCloudRun]:
        """Returns one page of `list_runs`."""
        items, total, _ = self._page("runs/", query)
        ahead = self._transport.ahead
        now = datetime.now(timezone.utc) + ahead if ahead is not None else None
        return Page([_run("runs/", item) for item in items], total, now)

    def list_runs(self, **filters: Any) -> Iterator[DBTCloudRun]:
        """Yields runs over all pages. A page is read when it is needed.

        Args:
            filters: Query of the API's "List Runs", e.g. `job_definition_id=1`,
                `status__in=[10, 20]`, `order_by="-id"`, `include_related=["trigger", "job"]`,
                and `limit`, the maximum number of runs. The API refuses unknown ones.
        """
        return (_run("runs/", item) for item in self._items("runs/", filters))

    def cancel_run(self, run_id: int | str) -> DBTCloudRun:
        """Cancels a run, and returns it. A running one stops shortly afterwards."""
        path = self._run_path(run_id, "cancel/")
        return _run(path, self._transport.send("POST", path)["data"], run_id)

    def get_step(self, step_id: int | str) -> dict[str, Any]:
        """Returns a step of a run with its log, also while it runs."""
        path = self._account_path(f"steps/{required_id('step_id', step_id)}/")
        return object_of(path, self._data(path))

    def get_job(self, job_id: int | str) -> dict[str, Any]:
        """Returns a job."""
        job = required_id("job_id", job_id)
        path = self._account_path(f"jobs/{job}/")
        return object_of(path, self._data(path), job)

    def get_jobs(self, **query: Any) -> Page[dict[str, Any]]:
        """Returns one page of `list_jobs`."""
        return self._page("jobs/", query)

    def list_jobs(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yields jobs over all pages.

        Args:
            filters: Query of the API's "List Jobs", e.g. `project_id=1`, `environment_id=2`, and
                `limit`, the maximum number of jobs.
        """
        return self._items("jobs/", filters)

    def list_artifacts(self, run_id: int | str, *, step: int | None = None) -> list[str]:
        """Returns the paths of a run's artifacts, an empty list if it has none.

        Args:
            run_id: The run.
            step: Index of a step, from 1. By default the last.
        """
        path = self._run_path(run_id, "artifacts/")
        paths: list[Any] = typed(list, "a list", self._data(path, step=step) or [], path)
        return [item for item in paths if isinstance(item, str)]

    def get_artifact(self, run_id: int | str, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact: parsed if its name ends with `.json`, else its text.

        Args:
            run_id: The run.
            path: Path as `list_artifacts` returns it, e.g. `run_results.json`.
            step: Index of the step that has made it, from 1. By default the last.
        """
        # The one path of the API without a slash at its end.
        url = self._run_path(run_id, f"artifacts/{quote(path)}")
        text = self._read(self._transport.get_file, url, _query({"step": step}))
        try:
            return parse_json(text) if path.endswith(".json") else text
        except ValueError as error:
            raise DBTCloudResponseException(f"{url} is not JSON. {error}", url=url) from None

    def runs_url(self, job_id: int) -> str:
        """Returns the URL of the API that lists the runs of a job with their causes."""
        runs = self._account_path(
            f"runs/?job_definition_id={job_id}&order_by=-id&include_related=trigger"
        )
        return f"{self.base_api_url}/{runs}"

    def _once(self, order: Order) -> DBTCloudRun:
        api = copy.copy(self)
        api.outage_timeout = 0.0  # the trigger retries by itself
        return _io.run(Trigger(self._io, api, order, self.outage_timeout).once())

    def _read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Makes a request that may be repeated, and retries it unless `outage_timeout` is 0."""
        if not self.outage_timeout:
            return function(*args, **kwargs)
        policy = RetryPolicy(self.outage_timeout)
        return _io.run(retry(self._io, policy, function, *args, **kwargs))

    def _data(self, path: str, **query: Any) -> Any:
        return self._read(self._transport.send, "GET", path, params=_query(query))["data"]

    def _page(self, name: str, query: Mapping[str, Any]) -> Page[dict[str, Any]]:
        path, params = self._account_path(name), _query({"limit": PAGE, **query})
        envelope = self._read(self._transport.send, "GET", path, params=params)
        items: list[Any] = typed(list, "a list", envelope["data"], path)
        total = dict_of(dict_of(envelope.get("extra")).get("pagination")).get("total_count")
        return Page([object_of(path, item) for item in items], int_of(total))

    def _items(self, name: str, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields what is on all pages. The API may send fewer items than were requested."""
        query = {"offset": 0, "limit": None, **filters}
        left = query["limit"]
        while left is None or left > 0:
            query["limit"] = PAGE if left is None else min(left, PAGE)
            page = self._page(name, query)
            if page.total is None:
                raise DBTCloudResponseException(f"{name} came without a `total_count`.", url=name)
            yield from page.items[:left]
            left = None if left is None else left - len(page.items)
            query["offset"] += len(page.items)
            if not page.items or query["offset"] >= page.total:
                return

    def _account_path(self, path: str) -> str:
        return f"accounts/{required_id('account_id', self.account_id)}/{path}"

    def _run_path(self, run_id: int | str, path: str = "") -> str:
        return self._account_path(f"runs/{required_id('run_id', run_id)}/{path}")


def _run(path: str, data: Any, run_id: int | str | None = None) -> DBTCloudRun:
    """Returns the run in an answer. Raises if another one was requested."""
    run = DBTCloudRun.from_api(data, path)
    object_of(path, run, None if run_id is None else required_id("run_id", run_id))
    return run


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a query as the API reads it: lists as JSON arrays, like `include_related`."""
    return {
        name: json.dumps(value) if isinstance(value, list | tuple | bool) else value
        for name, value in query.items()
        if value not in (None, ())
    }
