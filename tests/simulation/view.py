"""What one caller sees of the simulated dbt Cloud: each request meets a fate."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from dlt_dbt_cloud._api import PAGE, Page
from dlt_dbt_cloud.exceptions import (
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud.run import DBTCloudRun
from tests.simulation.cloud import (
    EPOCH,
    OK,
    PROVEN,
    READ_FATES,
    STATUS_FATES,
    WRITE_FATES,
    Cloud,
    Fate,
    SimulatedRun,
)
from tests.simulation.scheduler import Caller, Stalled


def _error(answer: str, url: str) -> Exception:
    if answer in {"drop", "refused"}:
        return DBTCloudConnectionException(
            "The connection broke.", url=url, is_transient=True, may_have_acted=answer == "drop"
        )
    if answer == "garbage":
        return DBTCloudResponseException("Not the API's JSON.", url=url)
    if answer == "other-job" or answer == "old-run":  # noqa: PLR1714
        return DBTCloudResponseException("About another run.", url=url)
    code, _, retry_after = answer.partition("-")
    return DBTCloudHTTPException(
        f"{code} for {url}.",
        url=url,
        status_code=int(code),
        retry_after=float(retry_after) if retry_after else None,
    )


class View:
    """The API as one caller sees it."""

    def __init__(self, cloud: Cloud, caller: Caller, fate: Callable[..., Fate]) -> None:
        self._cloud = cloud
        self._caller = caller
        self._fate = fate
        self._scheduler = cloud.scheduler
        self._choices = cloud.scheduler.choices

    def post_run(self, job_id: int, body: Mapping[str, Any]) -> DBTCloudRun:
        """Creates a run of a job."""
        overrides = {name: value for name, value in body.items() if name != "cause"}
        cause = str(body["cause"])
        return self._post("post_run", job_id, job_id, cause, overrides=overrides, retry_of=None)

    def post_retry(self, run_id: int) -> DBTCloudRun:
        """Creates a run that continues a failed one."""
        failed = self._cloud.runs[run_id]
        newest = max(run.id for run in self._cloud.runs.values() if run.job_id == failed.job_id)
        if failed.final != 20 or newest != run_id:
            self._met("post_retry", run_id, Fate("no", "400"))
            raise _error("400", "retry")
        return self._post(
            "post_retry", run_id, failed.job_id, "Rerun", overrides={}, retry_of=run_id
        )

    def _post(
        self, op: str, target: int, job_id: int, cause: str, *, overrides: Any, retry_of: int | None
    ) -> DBTCloudRun:
        fate = self._met(op, target, self._fate(self._caller, op, WRITE_FATES))
        spec = self._caller.spec
        details = {"by": self._caller.name, "identity": spec.identity, "retry_of": retry_of}
        if fate.commit == "late":
            late = self._cloud.habits.commit_late
            if not self._choices.is_exhaustive:
                late = self._choices.pick((late, 20.0, 2.0))
            time = self._scheduler.now + late
            self._scheduler.at(time, self._create, job_id, cause, overrides, details)
        run = None
        if fate.commit == "now":
            run = self._cloud.create(job_id, cause, overrides, **details)
        if fate.answer in {"ok", "bare"}:
            assert run
            shown = self._shown(run, with_trigger=True)
            if fate.answer == "bare":
                shown["trigger"] = None
            return shown
        if fate.answer in {"other-job", "old-run"}:
            is_of_other = fate.answer == "other-job"
            runs = self._cloud.runs.values()
            other = next(run for run in runs if (run.job_id != job_id) == is_of_other)
            return self._shown(other, with_trigger=fate.commit != "no")
        self._raise(fate, op)
        raise AssertionError

    def _create(self, job_id: int, cause: str, overrides: Any, details: Any) -> None:
        self._cloud.create(job_id, cause, overrides, **details)

    def get_run_status(self, run_id: int, *, include_related: Sequence[str] = ()) -> DBTCloudRun:
        """Returns a run."""
        fates = [*READ_FATES, *STATUS_FATES]
        op = "get_run_status"
        fate = self._met(op, run_id, self._fate(self._caller, op, fates))
        if fate.commit == "no":
            self._raise(fate, f"runs/{run_id}")
        now = self._scheduler.now
        run = self._cloud.runs.get(run_id)
        if run is None or now >= run.vanished or now < run.created + self._cloud.habits.new_run_404:
            raise _error("404", f"runs/{run_id}")
        shown = self._shown(run, with_trigger="trigger" in include_related)
        if fate.answer == "string":
            shown["status"] = str(shown["status"])
        elif fate.answer == "unknown":
            shown["status"], shown["is_complete"] = 7, False
        elif fate.answer == "backwards":
            shown["status"], shown["is_complete"] = 1, False
        return shown

    def get_runs(self, **query: Any) -> Page[DBTCloudRun]:
        """Returns a page of the account's runs."""
        op = "get_runs"
        target = "history" if query.get("status") else query.get("offset", query.get("pk__in"))
        fate = self._met(op, target, self._fate(self._caller, op, READ_FATES))
        if fate.answer != "ok":
            self._raise(fate, op)
        habits = self._cloud.habits
        lag = habits.lag
        if lag and not self._choices.is_exhaustive:
            lag = self._choices.pick((lag, 0.0, lag / 2))
        time = self._scheduler.now - lag
        runs = [run for run in self._cloud.runs.values() if run.created <= time < run.vanished]
        if not habits.is_unfiltered:
            if "job_definition_id" in query:
                runs = [run for run in runs if run.job_id == query["job_definition_id"]]
            if "pk__in" in query:
                runs = [run for run in runs if run.id in query["pk__in"]]
        if "status" in query:
            runs = [run for run in runs if run.status(time) == query["status"]]
        if query.get("order_by") == "-id" and not habits.is_ascending:
            runs.reverse()
        offset = query.get("offset", 0)
        page = runs[offset : offset + query.get("limit", PAGE)]
        with_trigger = "trigger" in query.get("include_related", ())
        items = [self._cloud.listed(run, time, with_trigger=with_trigger) for run in page]
        now = EPOCH + timedelta(seconds=self._scheduler.now)
        return Page(items, None if habits.no_total else len(runs), now)

    def cancel_run(self, run_id: int) -> DBTCloudRun:
        """Cancels a run."""
        fates = [Fate(c, a) for a in ("502", "drop", "stall", "garbage") for c in ("no", "now")]
        op = "cancel_run"
        fate = self._met(op, run_id, self._fate(self._caller, op, [*fates, *PROVEN]))
        run = self._cloud.runs[run_id]
        if fate.commit == "now":
            self._cloud.cancel(run, self._caller.name)
        if fate.answer != "ok":
            self._raise(fate, "cancel")
        return self._shown(run, with_trigger=False)

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact: there are none."""
        self._met("get_artifact", run_id, OK)
        raise _error("404", path)

    def get_step(self, step_id: int) -> Mapping[str, Any]:
        """Is not called: nobody watches logs here."""
        raise NotImplementedError

    def get_jobs(self, **query: Any) -> Page[dict[str, Any]]:
        """Returns a page of the account's jobs."""
        raise NotImplementedError

    def runs_url(self, job_id: int) -> str:
        """Returns where a person finds the runs of a job."""
        return f"https://cloud/jobs/{job_id}/"

    def _shown(self, run: SimulatedRun, *, with_trigger: bool) -> DBTCloudRun:
        shown = self._cloud.shown(run, self._scheduler.now, with_trigger=with_trigger)
        if with_trigger and shown.get("trigger") is None:
            shown["trigger"] = None
        return shown

    def _met(self, op: str, target: Any, fate: Fate) -> Fate:
        request = self._caller.acting
        assert request
        request.op, request.target, request.fate = op, target, str(fate)
        self._scheduler.tell(self._caller.name, f"{op}({target}) {'' if fate == OK else fate}")
        statuses = [run.status(self._scheduler.now) for run in self._cloud.created]
        self._cloud.states.add(hash((self._caller.name, op, str(fate), *statuses)))
        return fate

    def _raise(self, fate: Fate, url: str) -> None:
        if fate.answer == "stall":
            raise Stalled
        raise _error(fate.answer, url)
