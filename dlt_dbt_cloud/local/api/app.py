"""The endpoints of the API, each a few lines: read the request, ask the world, write the answer."""

from __future__ import annotations

import hmac
import json
import mimetypes
from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from dlt_dbt_cloud.local import artifacts
from dlt_dbt_cloud.local.api import bodies, queries, triggers
from dlt_dbt_cloud.local.faults import HIDDEN_AFTER
from dlt_dbt_cloud.local.state.records import Job, Overrides, Run, Step
from dlt_dbt_cloud.local.state.world import World, utc_now

_ROOT: Final = "/api/v2/accounts/<int:account_id>"
_TRIGGERED: Final = frozenset({"trigger", "job"})
_LISTED: Final = frozenset({"trigger", "job", "environment"})
_NO_JSON_TYPE: Final = "application/octet-stream"


class RefusedError(Exception):
    """A request that is refused: its status, and what the body says."""

    def __init__(
        self, code: int, user_message: str, data: Any = None, developer_message: str | None = ""
    ) -> None:
        super().__init__(user_message)
        self.code = code
        self.body = bodies.error(code, user_message, data, developer_message)


def create_app(world: World, api_token: str, url: str, dbt_version: str) -> Flask:
    """Serve a world over the API, to those who know the token."""
    app = Flask("dlt_dbt_cloud.local", static_folder=None)
    app.url_map.strict_slashes = False  # both forms are served, neither redirects
    app.url_map.merge_slashes = False
    endpoints = Endpoints(world, url, dbt_version)

    @app.before_request
    def authorize() -> None:
        _authorize(request.headers.get("Authorization", ""), api_token)
        account_id = (request.view_args or {}).pop("account_id", world.account_id)
        if account_id != world.account_id:
            raise RefusedError(
                403, "Access denied: Token is not scoped to account.", developer_message=None
            )

    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return _answer(error.body, error.code)

    @app.errorhandler(queries.InvalidQueryError)
    def invalid_query(error: queries.InvalidQueryError) -> Response:
        return _answer(bodies.error(400, bodies.INVALID, str(error)), 400)

    @app.errorhandler(triggers.InvalidTriggerError)
    def invalid_trigger(error: triggers.InvalidTriggerError) -> Response:
        return _answer(bodies.error(400, bodies.INVALID, error.data), 400)

    @app.errorhandler(HTTPException)
    def unserved(error: HTTPException) -> Response:
        code = error.code or 500
        known = {404: bodies.NOT_FOUND, 500: bodies.SERVER_ERROR}
        return _answer(bodies.error(code, known.get(code) or str(error.description)), code)

    for method, path, endpoint in endpoints.all():
        name = f"{method} {path}"
        app.add_url_rule(_ROOT + path, name, endpoint, methods=[method])
    return app


def _authorize(header: str, api_token: str) -> None:
    scheme, _, token = header.partition(" ")
    is_known = hmac.compare_digest(token.strip().encode(), api_token.encode())
    if scheme.lower() not in ("token", "bearer") or not is_known:
        raise RefusedError(401, "Invalid token.", developer_message=None)


def _answer(body: Mapping[str, Any], code: int = 200) -> Response:
    return Response(json.dumps(body), code, mimetype="application/json")


def _not_found() -> RefusedError:
    return RefusedError(404, bodies.NOT_FOUND)


class Endpoints:
    """The operations of the API on one world."""

    def __init__(self, world: World, url: str, dbt_version: str) -> None:
        self._world = world
        self._url = url
        self._dbt_version = dbt_version

    def all(self) -> list[tuple[str, str, Any]]:
        """Say which method of which path is which operation."""
        return [
            ("GET", "/jobs/", self.list_jobs),
            ("GET", "/jobs/<int:job_id>/", self.get_job),
            ("POST", "/jobs/<int:job_id>/run/", self.trigger),
            ("POST", "/jobs/<int:job_id>/rerun/", self.rerun),
            ("GET", "/jobs/<int:job_id>/artifacts/<path:path>", self.get_job_artifact),
            ("GET", "/runs/", self.list_runs),
            ("GET", "/runs/<int:run_id>/", self.get_run),
            ("POST", "/runs/<int:run_id>/cancel/", self.cancel),
            ("GET", "/runs/<int:run_id>/retry/", self.get_failure),
            ("POST", "/runs/<int:run_id>/retry/", self.retry),
            ("GET", "/runs/<int:run_id>/artifacts/", self.list_artifacts),
            ("GET", "/runs/<int:run_id>/artifacts/<path:path>", self.get_artifact),
            ("GET", "/steps/<int:step_id>/", self.get_step),
        ]

    # Jobs

    def list_jobs(self) -> Response:
        """List the jobs of the account."""
        query = queries.parsed(request.args, queries.JOBS)
        defaults = {"state": "active", "account_id": self._world.account_id}
        jobs = queries.select_jobs(self._world.jobs.values(), query, self._writer.job)
        shown, extra = queries.page(jobs, query, defaults)
        return _answer(bodies.success([self._writer.job(job) for job in shown], extra))

    def get_job(self, job_id: int) -> Response:
        """Answer one job."""
        queries.parsed(request.args, queries.ONE)
        return _answer(bodies.success(self._writer.job(self._job(job_id))))

    def trigger(self, job_id: int) -> Response:
        """Trigger a run of a job."""
        queries.parsed(request.args, queries.NONE)
        job = self._job(job_id)
        cause, overrides = triggers.read(request)
        with self._world.lock:
            return self._created(self._world.enqueue(job, cause, overrides))

    def rerun(self, job_id: int) -> Response:
        """Retry the last run of a job if it failed, else trigger a new one."""
        queries.parsed(request.args, queries.NONE)
        job = self._job(job_id)
        with self._world.lock:
            last = job.runs[-1] if job.runs else None
            if last and self._world.retry_refusal(last) is None:
                return self._created(self._world.retry(last))
            return self._created(self._world.enqueue(job, "Triggered via API", Overrides()))

    def get_job_artifact(self, job_id: int, path: str) -> Response:
        """Answer an artifact of the last matching run of a job."""
        query = queries.parsed(request.args, {**queries.RUNS, **queries.ARTIFACT})
        job = self._job(job_id)
        with self._world.lock:
            runs = self._selected({**query, "order_by": "-id"}, job.runs)
            saved = [run for run in runs if run.artifacts_saved]
            if not saved:
                raise _not_found()
            return _file(saved[0], path, query.get("step"))

    # Runs

    def list_runs(self) -> Response:
        """List the runs of the account."""
        query = queries.parsed(request.args, queries.RUNS)
        include = queries.includes(query) & _LISTED
        with self._world.lock:
            if "finished_at__range" in query:  # scripted runs finish when they are looked at
                others = {key: query[key] for key in query if key != "finished_at__range"}
                self._world.look_at(self._selected(others, self._visible()))
            runs = self._selected(query, self._visible())
            defaults = {"state": "all", "account_id": self._world.account_id}
            shown, extra = queries.page(runs, query, defaults)
            self._world.look_at(shown)
            return _answer(bodies.success([self._run(run, include) for run in shown], extra))

    def get_run(self, run_id: int) -> Response:
        """Answer one run."""
        query = queries.parsed(request.args, queries.ONE)
        run = self._known_run(run_id)
        with self._world.lock:
            self._world.look_at([run])
            return _answer(bodies.success(self._run(run, queries.includes(query))))

    def cancel(self, run_id: int) -> Response:
        """Cancel a run. One that has ended stays as it is."""
        queries.parsed(request.args, queries.NONE)
        run = self._known_run(run_id)
        with self._world.lock:
            self._world.cancel(run)
            return _answer(bodies.success(self._run(run)))

    def get_failure(self, run_id: int) -> Response:
        """Say where a retry of a failed run would start."""
        queries.parsed(request.args, queries.ONE)
        run = self._retryable(run_id)
        step = run.failed_step
        failed = step.command or step.name if step else None
        return _answer(bodies.success({"failed_step": failed, "skipped_steps": run.skipped}))

    def retry(self, run_id: int) -> Response:
        """Retry a failed run where it failed."""
        queries.parsed(request.args, queries.NONE)
        with self._world.lock:
            return self._created(self._world.retry(self._retryable(run_id)))

    def get_step(self, step_id: int) -> Response:
        """Answer one step of a run."""
        query = queries.parsed(request.args, queries.ONE)
        run, step = self._known_step(step_id)
        with self._world.lock:
            body = self._writer.step(run, step, debug="debug_logs" in queries.includes(query))
            return _answer(bodies.success(body))

    # Artifacts

    def list_artifacts(self, run_id: int) -> Response:
        """List the artifacts of a run: null where there are none."""
        queries.parsed(request.args, queries.ARTIFACT)
        return _answer(bodies.success(artifacts.listed(self._known_run(run_id)) or None))

    def get_artifact(self, run_id: int, path: str) -> Response:
        """Answer an artifact as it is, without an envelope."""
        query = queries.parsed(request.args, queries.ARTIFACT)
        return _file(self._known_run(run_id), path, query.get("step"))

    # What the operations share

    @property
    def _writer(self) -> bodies.Writer:
        return bodies.Writer(self._url, self._world.account_id, self._dbt_version, utc_now())

    def _run(self, run: Run, include: frozenset[str] = frozenset()) -> dict[str, Any]:
        return self._writer.run(run, self._world.retry_refusal(run), include)

    def _created(self, run: Run) -> Response:
        # Written before the run begins: the answer to a trigger says that it is queued.
        answer = _answer(bodies.success(self._run(run, _TRIGGERED)))
        self._world.go_on(run.job)
        return answer

    def _job(self, job_id: int) -> Job:
        if job_id not in self._world.jobs:
            raise _not_found()
        return self._world.jobs[job_id]

    def _known_run(self, run_id: int) -> Run:
        if run_id not in self._world.runs:
            raise _not_found()
        return self._world.runs[run_id]

    def _known_step(self, step_id: int) -> tuple[Run, Step]:
        with self._world.lock:
            for run in self._world.runs.values():
                for step in run.steps:
                    if step.id == step_id:
                        return run, step
        raise _not_found()

    def _retryable(self, run_id: int) -> Run:
        run = self._known_run(run_id)
        refusal = self._world.retry_refusal(run)
        if refusal:
            raise RefusedError(400, bodies.INVALID, {"retry_not_supported_reason": refusal})
        return run

    def _visible(self) -> list[Run]:
        newest = request.environ.get(HIDDEN_AFTER, float("inf"))
        return [run for run in self._world.runs.values() if run.id <= newest]

    def _selected(self, query: Mapping[str, Any], runs: list[Run]) -> list[Run]:
        return queries.select_runs(runs, query, self._run)


def _file(run: Run, path: str, step_index: int | None) -> Response:
    file = artifacts.found(run, path, step_index)
    if file is None:
        raise _not_found()
    return Response(file.read_bytes(), mimetype=mimetypes.guess_type(path)[0] or _NO_JSON_TYPE)
