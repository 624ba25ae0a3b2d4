"""A client of dbt Cloud's Administrative API v2: one short method an operation."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import dlt

from dlt_dbt_cloud._http.responses import checked_list
from dlt_dbt_cloud._http.transport import Transport
from dlt_dbt_cloud._start.trigger import Trigger, has_tag, new_tag, tagged, trigger_once
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import DBTCloudResponseException
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.timing import Timer

PAGE: Final = 100
"""Items of a list that the API returns at most in one answer."""


class DBTCloudClientV2:
    """Requests to the API v2 of one account.

    What is not passed is looked up by dlt, as all settings are: `DBTCloudClientV2()` finds its
    token, account and host by itself. Reads ride out an API that is down for `outage_timeout`
    seconds; all requests raise a `DBTCloudAPIException` where there is no usable answer.

    Args:
        api_token: Service token or personal access token.
        account_id: Id of the account.
        base_api_url: Access URL of the account, with or without `/api`, `/api/v2`.
        credentials: A `DBTCloudConfiguration` with these and more settings.
        timer: Clock and sleep, for tests that must not wait.
    """

    @with_dbt_cloud_configuration
    def __init__(
        self,
        api_token: str = dlt.secrets.value,
        account_id: int | str | None = None,
        base_api_url: str = DBTCloudConfiguration.base_api_url,
        *,
        credentials: DBTCloudConfiguration = dlt.secrets.value,
        timer: Timer | None = None,
    ) -> None:
        self.account_id = account_id
        self.base_api_url = base_api_url
        self.timer = timer or Timer()
        self.outage_timeout = credentials.outage_timeout
        self._transport = Transport(
            api_token, base_api_url, outage_timeout=self.outage_timeout, timer=self.timer
        )

    def trigger_job_run(self, job_id: int | str, data: Mapping[str, Any] | None = None) -> int:
        """Triggers a job exactly once, and returns the id of the new run.

        Args:
            job_id: The job.
            data: Body of the request: `cause` and overrides, see `DBTCloudConfiguration`.

        Raises:
            InvalidCredentialsException: If `account_id` or `job_id` is missing or malformed.
            DBTCloudHTTPException: If the API refuses.
            DBTCloudNotTriggeredException: If the API stays down, and certainly created no run.
            DBTCloudTriggerOutcomeUnknownException: If it may have created one.
        """
        return self.trigger_run(job_id, data).id

    def trigger_run(
        self,
        job_id: int | str,
        data: Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        known: frozenset[int] = frozenset(),
    ) -> DBTCloudRun:
        """Triggers a job exactly once, and returns the new run.

        Args:
            job_id: The job.
            data: Body of the request.
            tag: The mark by which the new run is found again, by default one of its own.
            known: Ids of earlier runs with the same tag, which are not the new one.

        Raises:
            What `trigger_job_run` raises.
        """
        job = required_id("job_id", job_id)
        tag = tag or new_tag()
        cause = (data or {}).get("cause") or DBTCloudConfiguration.cause
        body = {**(data or {}), "cause": tagged(str(cause), tag)}
        path = self._account_path(f"jobs/{job}/run/")

        def find() -> list[DBTCloudRun]:
            runs = self._newest_runs(job)
            return [run for run in runs if has_tag(run, tag) and run.id not in known]

        return self._trigger(job, f"[{tag}] in its cause", path, find, body)

    def retry_run(self, run_id: int | str) -> DBTCloudRun:
        """Continues a failed run from its failed step, exactly once, and returns the new run.

        Whether the API can is told by `can_retry` and `retry_not_supported_reason` of the run.

        Args:
            run_id: The failed run.

        Raises:
            What `trigger_job_run` raises.
        """
        failed = self.get_run_status(run_id)
        job = required_id("job_id", failed.get("job_definition_id"))
        path = self._run_path(failed.id, "retry/")

        def find() -> list[DBTCloudRun]:
            runs = self._newest_runs(job)
            return [run for run in runs if run.get("retrying_run_id") == failed.id]

        return self._trigger(job, f"retrying_run_id {failed.id}", path, find)

    def get_retry(self, run_id: int | str) -> dict[str, Any]:
        """Returns what a retry of the run would do: `failed_step` and `skipped_steps`."""
        return dict(self._data(self._run_path(run_id, "retry/")))

    def get_run_status(
        self, run_id: int | str, *, include_related: tuple[str, ...] = ()
    ) -> DBTCloudRun:
        """Returns a run.

        Args:
            run_id: The run.
            include_related: Of `trigger`, `job`, `environment`, `repository`, `run_steps`,
                `audit`, `debug_logs`, what is wanted inside the run. Without, these are null.

        Raises:
            InvalidCredentialsException: If `account_id` or `run_id` is missing or malformed.
        """
        path = self._run_path(run_id)
        return DBTCloudRun.from_api(self._data(path, include_related=include_related), path)

    def poll_run(self, run_id: int | str, *, include_related: tuple[str, ...] = ()) -> DBTCloudRun:
        """Returns a run as `get_run_status` does, but from one request that rides nothing out."""
        path = self._run_path(run_id)
        params = _query({"include_related": include_related})
        return DBTCloudRun.from_api(self._transport.send("GET", path, params=params)["data"], path)

    def poll_runs(self, **query: Any) -> list[DBTCloudRun]:
        """Returns the first page of `list_runs`, from one request that rides nothing out."""
        path = self._account_path("runs/")
        envelope = self._transport.send("GET", path, params=_query({"limit": PAGE, **query}))
        return [DBTCloudRun.from_api(item, path) for item in checked_list(path, envelope)]

    def poll_runs_by_id(self, run_ids: list[int]) -> list[DBTCloudRun]:
        """Returns the runs of these ids as far as they exist, from one request for every 100."""
        chunks = [run_ids[start : start + PAGE] for start in range(0, len(run_ids), PAGE)]
        return [run for chunk in chunks for run in self.poll_runs(pk__in=chunk)]

    def list_runs(self, **filters: Any) -> Iterator[DBTCloudRun]:
        """Yields runs over all pages, each page read when it is needed.

        Args:
            filters: Query of the API's "List Runs", e.g. `job_definition_id=1`,
                `status__in=[10, 20]`, `order_by="-id"`, `include_related=["trigger", "job"]`.
                Unknown ones are refused by the API.
        """
        path = self._account_path("runs/")
        return (DBTCloudRun.from_api(item, path) for item in self._items(path, filters))

    def cancel_run(self, run_id: int | str) -> DBTCloudRun:
        """Cancels a run, and returns it. One that runs may end only later."""
        return self._post_run(self._run_path(run_id, "cancel/"))

    def get_job(self, job_id: int | str) -> dict[str, Any]:
        """Returns a job."""
        return dict(self._data(self._account_path(f"jobs/{required_id('job_id', job_id)}/")))

    def list_jobs(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yields jobs over all pages.

        Args:
            filters: Query of the API's "List Jobs", e.g. `project_id=1`, `environment_id=2`.
        """
        return self._items(self._account_path("jobs/"), filters)

    def list_artifacts(self, run_id: int | str, *, step: int | None = None) -> list[str]:
        """Returns the paths of a run's artifacts, none where the run has none.

        Args:
            run_id: The run.
            step: Index of a step, from 1. By default the last.
        """
        return self._data(self._run_path(run_id, "artifacts/"), step=step) or []

    def get_artifact(self, run_id: int | str, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact: parsed where it is JSON, text else.

        Args:
            run_id: The run.
            path: Path as `list_artifacts` returns it, e.g. `run_results.json`.
            step: Index of the step that has made it, from 1. By default the last.
        """
        # The one path of the API without a slash at its end.
        url = self._run_path(run_id, f"artifacts/{path}")
        text = self._transport.get_text(url, _query({"step": step}))
        if not path.endswith(".json"):
            return text
        try:
            return json.loads(text)
        except ValueError:
            raise DBTCloudResponseException(f"{url} is not JSON.", url=url) from None

    def _trigger(
        self,
        job_id: int,
        mark: str,
        path: str,
        find: Callable[[], list[DBTCloudRun]],
        body: Mapping[str, Any] | None = None,
    ) -> DBTCloudRun:
        runs = self._account_path(f"runs/?job_definition_id={job_id}&order_by=-id")
        trigger = Trigger(
            job_id=job_id,
            mark=mark,
            url=f"{self.base_api_url}/{runs}",
            send=lambda: self._post_run(path, body),
            find=find,
            cancel=self.cancel_run,
        )
        return trigger_once(trigger, timer=self.timer, patience=self.outage_timeout)

    def _newest_runs(self, job_id: int) -> list[DBTCloudRun]:
        return self.poll_runs(job_definition_id=job_id, order_by="-id", include_related=["trigger"])

    def _post_run(self, path: str, body: Mapping[str, Any] | None = None) -> DBTCloudRun:
        envelope = self._transport.send("POST", path, json=body)
        return DBTCloudRun.from_api(envelope["data"], path)

    def _data(self, path: str, **query: Any) -> Any:
        return self._transport.get(path, _query(query))["data"]

    def _items(self, path: str, filters: Mapping[str, Any]) -> Iterator[Any]:
        query = _query(filters)
        limit = query.pop("limit", PAGE)
        for page in self._transport.get_pages(path, query, limit):
            yield from page

    def _account_path(self, path: str) -> str:
        return f"accounts/{required_id('account_id', self.account_id)}/{path}"

    def _run_path(self, run_id: int | str, path: str = "") -> str:
        return self._account_path(f"runs/{required_id('run_id', run_id)}/{path}")


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a query as the API reads it: lists as JSON arrays, as are `include_related`."""
    return {
        name: json.dumps(value) if isinstance(value, list | tuple | bool) else value
        for name, value in query.items()
        if value not in (None, ())
    }
