"""The operations of the API: each reads the request, asks the world and writes the answer."""

import mimetypes
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from flask import Response, request

from dlt_dbt_cloud.local.api import envelopes, queries, triggers
from dlt_dbt_cloud.local.api.behaviours import BasisLog
from dlt_dbt_cloud.local.api.bodies import Writer
from dlt_dbt_cloud.local.api.envelopes import RefusedError, success
from dlt_dbt_cloud.local.api.routes import Operation
from dlt_dbt_cloud.local.api.wire import HIDDEN_AFTER
from dlt_dbt_cloud.local.runners import artifacts
from dlt_dbt_cloud.local.state.records import Job, Overrides, Run, Step
from dlt_dbt_cloud.local.state.world import World, utc_now

_QUERIES: Final = {
    "list_jobs": queries.JOBS,
    "list_runs": queries.RUNS,
    "get_job_artifact": queries.ARTIFACT,
    "list_artifacts": queries.ARTIFACT,
    "get_artifact": queries.ARTIFACT,
}
_TRIGGERED: Final = frozenset({"trigger", "job"})
_LISTED: Final = frozenset({"trigger", "job", "environment", "audit"})
_NO_JSON_TYPE: Final = "application/octet-stream"
_RELATED: Final = {
    "audit": "get_run.audit",
    "debug_logs": "get_run.debug_logs",
    "run_retries": "get_run.run_retries",
}

Item = TypeVar("Item")


class Endpoints:
    """Answers one request to a world that is served at a URL, by the method for its operation."""

    def __init__(
        self, world: World, basis: BasisLog, url: str, dbt_version: str, operation: Operation
    ) -> None:
        self._world = world
        self._rests_on = basis.rests_on
        self._url = url
        self._dbt_version = dbt_version
        default = queries.ONE if operation.method == "GET" else queries.NONE
        self._query = queries.parsed(request.args, _QUERIES.get(operation.name, default))
        self._include = frozenset(self._query.get("include_related", ()))
        if any("__" in key for key in self._query):
            self._rests_on("list_runs.filter")
        for name in self._include:
            self._rests_on(_RELATED.get(name, "any.include_related"))

    # Account, project, environment

    def get_account(self) -> Response:
        """Answer the account."""
        return success(self._writer.account())

    def get_project(self, number: int) -> Response:
        """Answer the project of a job."""
        job = _first(job for job in self._world.jobs.values() if job.project_id == number)
        return success(self._writer.project(job))

    def get_environment(self, number: int) -> Response:
        """Answer the environment of a job."""
        job = _first(job for job in self._world.jobs.values() if job.environment_id == number)
        return success(self._writer.environment(job))

    # Jobs

    def list_jobs(self) -> Response:
        """List the jobs of the account."""
        jobs = self._selected(self._query, self._world.jobs.values())
        shown, extra = self._page(jobs, "active")
        return success([self._writer.job(job, self._include) for job in shown], extra)

    def get_job(self, number: int) -> Response:
        """Answer one job."""
        return success(self._writer.job(self._job(number), self._include))

    def update_job(self, number: int) -> Response:
        """Accept an update that changes nothing: jobs are described in Python or TOML."""
        job = self._writer.job(self._job(number))
        body = triggers.json_object(request)
        changed = [key for key in job.keys() & body if job[key] != body[key] and key != "triggers"]
        if changed:
            message = f"The local dbt Cloud doesn't change jobs: {', '.join(sorted(changed))}."
            raise RefusedError(501, message, "any.unserved")
        return success(job)

    def trigger(self, number: int) -> Response:
        """Trigger a run of a job."""
        job = self._job(number)
        cause, overrides = triggers.read(request)
        if overrides.steps_override == []:
            self._rests_on("trigger.no_steps")
        with self._world.lock:
            return self._created(self._enqueued(job, cause, overrides))

    def rerun(self, number: int) -> Response:
        """Retry the last run of a job if it failed, else trigger a new one."""
        job = self._job(number)
        with self._world.lock:
            last = job.runs[-1] if job.runs else None
            if last and self._world.retry_refusal(last) is None:
                return self._retried(last)
            self._rests_on("rerun.cause")
            return self._created(self._enqueued(job, "Triggered via API", Overrides()))

    def get_job_artifact(self, number: int, path: str) -> Response:
        """Answer an artifact of the latest run of a job that has any."""
        job = self._job(number)
        with self._world.lock:
            run = _first(run for run in reversed(job.runs) if run.artifacts_saved)
        return self._file(run, path)

    # Runs

    def list_runs(self) -> Response:
        """List the runs of the account."""
        with self._world.lock:
            if "finished_at__range" in self._query:  # scripted runs finish when they are looked at
                others = {**self._query}
                del others["finished_at__range"]
                self._world.look_at(self._selected(others, self._visible()))
            shown, extra = self._page(self._selected(self._query, self._visible()), "all")
            self._world.look_at(shown)
            return success([self._run(run, self._include & _LISTED) for run in shown], extra)

    def get_run(self, number: int) -> Response:
        """Answer one run."""
        run = self._known_run(number)
        with self._world.lock:
            self._world.look_at([run])
            return success(self._run(run, self._include))

    def cancel(self, number: int) -> Response:
        """Cancel a run. One that has ended stays as it is."""
        run = self._known_run(number)
        with self._world.lock:
            if run.is_complete:
                self._rests_on("cancel.finished")
            self._world.cancel(run)
            return success(self._run(run))

    def get_failure(self, number: int) -> Response:
        """Say where a retry of a failed run would start."""
        run = self._retryable(number)
        self._rests_on("get_failure.commands")
        step = run.failed_step
        failed = step.command or step.name if step else None
        return success({"failed_step": failed, "skipped_steps": run.skipped})

    def retry(self, number: int) -> Response:
        """Retry a failed run where it failed."""
        with self._world.lock:
            return self._retried(self._retryable(number))

    def get_step(self, number: int) -> Response:
        """Answer one step of a run."""
        with self._world.lock:
            run, step = self._known_step(number)
            debug = "debug_logs" in self._include
            return success(self._writer.step(run, step, debug=debug))

    # Artifacts

    def list_artifacts(self, number: int) -> Response:
        """List the artifacts of a run: null where there are none."""
        return success(artifacts.listed(self._known_run(number)) or None)

    def get_artifact(self, number: int, path: str) -> Response:
        """Answer an artifact as it is, without an envelope."""
        return self._file(self._known_run(number), path)

    # What the operations share

    @property
    def _writer(self) -> Writer:
        return Writer(self._url, self._world.account_id, self._dbt_version, utc_now())

    def _page(self, items: list[Item], state: str) -> tuple[list[Item], dict[str, Any]]:
        defaults = {"state": state, "account_id": self._world.account_id}
        return queries.page(items, self._query, defaults)

    def _run(self, run: Run, include: frozenset[str] = frozenset()) -> dict[str, Any]:
        if not run.is_complete and all(run is not near for near in run.job.queue[:2]):
            self._rests_on("trigger.long_queue")
        if run.skipped and "run_steps" in include:
            self._rests_on("get_run.skipped")
        return self._writer.run(run, self._world.retry_refusal(run), include)

    def _enqueued(self, job: Job, cause: str, overrides: Overrides) -> Run:
        if job.deactivated:
            message = "The job is deactivated, since it has failed too many times in a row."
            raise RefusedError(400, message, "trigger.deactivated")
        return self._world.enqueue(job, cause, overrides)

    def _retried(self, run: Run) -> Response:
        self._rests_on("retry.cause")
        return self._created(self._world.retry(run))

    def _created(self, run: Run) -> Response:
        # Written before the run begins: the answer to a trigger says that it is queued.
        created = success(self._run(run, _TRIGGERED))
        self._world.go_on()
        return created

    def _job(self, number: int) -> Job:
        return _existing(self._world.jobs.get(number))

    def _known_run(self, number: int) -> Run:
        return _existing(self._world.runs.get(number))

    def _known_step(self, number: int) -> tuple[Run, Step]:
        runs = self._world.runs.values()
        return _first((run, step) for run in runs for step in run.steps if step.id == number)

    def _retryable(self, number: int) -> Run:
        run = self._known_run(number)
        refusal = self._world.retry_refusal(run)
        if refusal:
            data = {"retry_not_supported_reason": refusal}
            raise RefusedError(400, envelopes.INVALID, "retry.refused", data)
        return run

    def _file(self, run: Run, path: str) -> Response:
        file = artifacts.found(run, path, self._query.get("step"))
        content = None
        with suppress(OSError):  # pruned in this moment
            content = file.read_bytes() if file else None
        return Response(_existing(content), mimetype=mimetypes.guess_type(path)[0] or _NO_JSON_TYPE)

    def _visible(self) -> list[Run]:
        newest = request.environ.get(HIDDEN_AFTER, float("inf"))
        return [run for run in self._world.runs.values() if run.id <= newest]

    def _selected(self, query: Mapping[str, Any], items: Iterable[Item]) -> list[Item]:
        own = self._world.account_id
        return queries.select(items, query) if query.get("account_id", own) == own else []


def _existing(found: Item | None) -> Item:
    if found is None:
        raise RefusedError(404, envelopes.NOT_FOUND, "any.not_found")
    return found


def _first(found: Iterable[Item]) -> Item:
    return _existing(next(iter(found), None))
