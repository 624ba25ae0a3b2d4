"""Laws 1 to 5 and 12, each a function that yields what breaks it in a schedule that has ended."""

import itertools
import math
from collections.abc import Iterator

from dlt_dbt_cloud.exceptions import (
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudTriggerOutcomeUnknownException,
)
from dlt_dbt_cloud.run import DBTCloudRun
from tests.simulation.evidence import (
    PROVES_NOTHING_CREATED,
    all_succeed,
    callers_by_identity,
    posts_of,
    runs_of,
    was_aborted,
    was_blind,
)
from tests.simulation.scheduler import REQUEST_TIMEOUT, Caller, Request
from tests.simulation.simulation import JOB, Simulation


def one_run_starts(simulation: Simulation) -> Iterator[str]:
    """Laws 1, 2: One run of an identity starts, as long as one of its callers sees it through."""
    if not all_succeed(simulation) or simulation.world.habits.cause in {"null", "absent"}:
        return
    for identity, callers in callers_by_identity(simulation).items():
        started = [run for run in runs_of(simulation, identity) if run.started < math.inf]
        started.sort(key=lambda run: run.started)
        for first, second in itertools.pairwise(started):
            visible = second.created + simulation.world.habits.lag
            for caller in callers:
                saw_it_through = caller.ended >= first.finished and not was_aborted(caller)
                was_early = caller.started <= visible and not caller.spec.config.get("reuse_queued")
                if saw_it_through and was_early and not was_blind(caller, visible, second.started):
                    yield f"run {second.id} starts after {first.id}, though {caller.name} follows"


def all_return_the_same(simulation: Simulation) -> Iterator[str]:
    """Law 2: All callers of an identity return the same run."""
    if not all_succeed(simulation) or "reuse" in simulation.world.name:
        return
    for identity, callers in callers_by_identity(simulation).items():
        if any(caller.spec.config.get("reuse_queued") for caller in callers):
            continue
        ids = {c.result.id for c in callers if isinstance(c.result, DBTCloudRun)}
        if len(ids) > 1:
            yield f"callers of {identity} return {sorted(ids)}"


def sends_are_rare(simulation: Simulation) -> Iterator[str]:
    """Law 1: Nothing ambiguous is sent again before 30 s of looking, and at most twice."""
    for caller in simulation.callers:
        posts = posts_of(caller)
        lost = [r for r in posts if not PROVES_NOTHING_CREATED.search(r.fate)]
        for target in {r.target for r in lost}:
            if sum(r.target == target for r in lost) > 3:
                yield f"{caller.name} sends {len(lost)} times"
        for first, second in itertools.pairwise(lost):
            yield from _resend(simulation, caller, first, second)


def _resend(
    simulation: Simulation, caller: Caller, first: Request, second: Request
) -> Iterator[str]:
    if first.fate in {"now/ok", "now/bare"}:  # a run of another, or an earlier one
        return
    known = first.arrived if first.arrived < math.inf else first.sent
    looks = [r for r in caller.requests if r.op == "get_runs" and known <= r.sent < second.sent]
    good = [r for r in looks if r.arrived < math.inf and not r.error]
    # Attempts that prove that nothing was created may come between.
    again = min(r.sent for r in posts_of(caller) if r.sent > known)
    good = [r for r in good if r.sent <= again]
    if again - known < 30.0:
        yield f"{caller.name} sends again after {again - known:.1f} s"
    if len(good) < 2 or good[-1].arrived < again - 1.0:
        yield f"{caller.name} sends again after {len(good)} looks"
    if good and again - good[0].arrived < 29.9:
        yield f"{caller.name} sends again {again - good[0].arrived:.1f} s after its first look"


def unknown_is_not_none(simulation: Simulation) -> Iterator[str]:
    """Laws 3, 4: Where runs can't be told apart, nothing is sent again after a lost answer."""
    habits = simulation.world.habits
    for caller in simulation.callers:
        posts = posts_of(caller)
        lost = [r for r in posts if not PROVES_NOTHING_CREATED.search(r.fate)]
        if habits.cause in {"null", "absent"}:
            lists_of_load = caller.spec.is_load and any(r.op == "get_runs" for r in caller.requests)
            if len(lost) > 1 or (lists_of_load and posts):
                yield f"{caller.name} sends {len(posts)} times without knowing"
            if caller.spec.config.get("reuse_queued") and isinstance(caller.result, DBTCloudRun):
                run = simulation.cloud.runs[caller.result.id]
                if run.by == "others":
                    yield f"{caller.name} reuses a run whose trigger it can't see"


def no_false_claim(simulation: Simulation) -> Iterator[str]:
    """Law 1: An exception that says that no run was created is right. So is one about others."""
    for caller in simulation.callers:
        error = caller.error
        if error is None or any(r.op == "get_run_status" for r in caller.requests):
            continue
        says_none = isinstance(error, DBTCloudNotTriggeredException) or (
            isinstance(error, DBTCloudHTTPException) and not error.may_have_acted
        )
        created = [run.id for run in simulation.cloud.runs.values() if run.by == caller.name]
        if says_none and created:
            yield f"{caller.name} says that no run was created, but {created} were: {error}"


def given_up_in_time(simulation: Simulation) -> Iterator[str]:
    """Law 12: While reads work, a failing trigger is given up after the third send."""
    for caller in simulation.callers:
        if not isinstance(caller.error, DBTCloudTriggerOutcomeUnknownException):
            continue
        reads = [r for r in caller.requests if r.op == "get_runs"]
        lost = [r for r in posts_of(caller) if not PROVES_NOTHING_CREATED.search(r.fate)]
        if reads and not any(r.error or r.arrived == math.inf for r in reads):
            is_clear = simulation.world.habits.cause not in {"null", "absent"}
            is_run = lost and lost[0].op == "post_run"
            if is_clear and is_run and caller.ended < caller.started + 3000 and len(lost) < 3:
                is_refused = any(PROVES_NOTHING_CREATED.search(r.fate) for r in posts_of(caller))
                if not is_refused and "wait_timeout" not in caller.spec.config:
                    yield f"{caller.name} gives up after {len(lost)} sends"


def returns_its_own(simulation: Simulation) -> Iterator[str]:
    """Law 1: An answer about another job or an earlier run is not taken for the run."""
    for caller in simulation.callers:
        if isinstance(caller.result, DBTCloudRun) and not caller.spec.follows:
            run = simulation.cloud.runs[caller.result.id]
            is_own = run.identity == caller.spec.identity
            if not is_own and not caller.spec.config.get("reuse_queued"):
                yield f"{caller.name} returns run {run.id} of {run.by}"


def failed_is_run_anew(simulation: Simulation) -> Iterator[str]:
    """Rule 3: A load whose run failed or was cancelled before the call is run anew."""
    if simulation.world.name != "rerun":
        return
    for caller in simulation.callers:
        if isinstance(caller.result, DBTCloudRun) and not was_aborted(caller):
            run = simulation.cloud.runs[caller.result.id]
            if run.finished + simulation.world.habits.lag < caller.started and run.final != 10:
                yield f"{caller.name} returns run {run.id}, which had failed before"


def late_runs_are_found(simulation: Simulation) -> Iterator[str]:
    """Law 1: A run that is visible 60 s after its trigger was lost is found, not unknown."""
    habits = simulation.world.habits
    for caller in simulation.callers:
        lists = [r for r in caller.requests if r.op == "get_runs"]
        can_see = all(r.arrived < math.inf and not r.error for r in lists)
        is_unknown = isinstance(caller.error, DBTCloudTriggerOutcomeUnknownException)
        if not is_unknown or not can_see or habits.cause in {"null", "absent"}:
            continue
        last = posts_of(caller)[-1]
        if "wait_timeout" in caller.spec.config or last.op == "post_retry":
            continue
        known = last.arrived if last.arrived < math.inf else last.sent + REQUEST_TIMEOUT
        for run in simulation.cloud.created:
            if run.by == caller.name and run.created + habits.lag <= known + 60.0:
                yield f"{caller.name} does not find run {run.id}"


def loads_are_covered(simulation: Simulation) -> Iterator[str]:
    """Law 5: Callers that reuse queued runs end with two at most, started after their loads."""
    if simulation.world.name != "queueing":
        return
    runs = simulation.cloud.runs.values()
    used = {run.id for run in runs if run.identity and run.started < math.inf}
    if len(used) > 2:
        yield f"{len(used)} runs start: {sorted(used)}"
    for caller in simulation.callers:
        if isinstance(caller.result, DBTCloudRun):
            run = simulation.cloud.runs[caller.result.id]
            if run.job_id != JOB:
                yield f"{caller.name} returns run {run.id} of another job"
            if run.started < caller.started:
                yield f"{caller.name} returns run {run.id}, which may have missed its load"
            if run.final != 10:
                yield f"{caller.name} returns run {run.id} with status {run.final}"


def one_retry(simulation: Simulation) -> Iterator[str]:
    """Law 4: A failed run is retried once, whatever is lost, and the retry is what is returned."""
    if simulation.world.name != "retrying":
        return
    retries = [run for run in simulation.cloud.runs.values() if run.retry_of]
    if len([run for run in retries if run.started < math.inf]) > 1:
        yield f"{len(retries)} retries"
    for caller in simulation.callers:
        posts = [r for r in caller.requests if r.op == "post_retry"]
        is_lost = not all(PROVES_NOTHING_CREATED.search(r.fate) for r in posts)
        is_failed = isinstance(caller.result, DBTCloudRun) and caller.result.is_error
        if retries and is_failed and is_lost:
            yield f"{caller.name} returns the failed run {caller.result.id}"
