"""Laws 6 to 11, each a function that yields what breaks it in a schedule that has ended."""

import math
import re
from collections.abc import Iterator

from dlt_dbt_cloud._follow.wait import LAST_POLL
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudRunException,
    DBTCloudTriggerOutcomeUnknownException,
    DBTCloudWaitException,
    DBTCloudWaitTimeoutException,
)
from tests.simulation.evidence import (
    POSTS,
    posts_of,
    was_aborted,
)
from tests.simulation.scheduler import Caller
from tests.simulation.simulation import Simulation


def documented_errors(simulation: Simulation) -> Iterator[str]:
    """Laws 1, 9, 12: A call returns, or raises what its documentation says."""
    fine = (
        DBTCloudNotTriggeredException,
        DBTCloudTriggerOutcomeUnknownException,
        DBTCloudWaitException,
        DBTCloudRunException,
    )
    for caller in simulation.callers:
        error = caller.error
        if error is None or was_aborted(caller) or isinstance(error, fine):
            continue
        is_refusal = isinstance(error, DBTCloudAPIException) and not error.is_transient
        has_sent = any(r.op in POSTS for r in caller.requests)
        if not is_refusal or (has_sent and not isinstance(error, DBTCloudHTTPException)):
            yield f"{caller.name} raises {error!r}"


def returns(simulation: Simulation) -> Iterator[str]:
    """Laws 2, 9, 10: A call rides out what passes, and returns its run as it is."""
    world = simulation.world
    if "return" not in world.expects:
        return
    for caller in simulation.callers:
        if was_aborted(caller):
            continue
        if caller.error is not None:
            is_lost = isinstance(caller.error, DBTCloudTriggerOutcomeUnknownException)
            has_vanished = world.vanish and isinstance(caller.error, DBTCloudHTTPException)
            sends = [r for r in posts_of(caller) if r.fate != "now/ok"]
            if not (is_lost and len(sends) >= 3) and not has_vanished:
                yield f"{caller.name} raises {caller.error!r}"
            continue
        runs = caller.result if isinstance(caller.result, list) else [caller.result]
        for run in runs:
            true = simulation.cloud.runs[run.id]
            if run.status != true.final or true.finished > caller.ended:
                yield f"{caller.name} returns run {run.id} with {run.status}, not {true.final}"
        if isinstance(caller.result, list):
            ids = [run.id for run in caller.result]
            if ids != list(caller.spec.follows):
                yield f"{caller.name} returns {ids} for {caller.spec.follows}"


def success_stays(simulation: Simulation) -> Iterator[str]:
    """Law 10: Once its run was read as succeeded, no trouble makes that an error."""
    for caller in simulation.callers:
        read = [
            r
            for r in caller.requests
            if r.op == "get_run_status" and r.arrived < math.inf and isinstance(r.value, dict)
        ]
        good = [r for r in read if r.value["status"] == 10]
        if good and caller.error is not None and len(caller.spec.follows) < 2:
            run = simulation.cloud.runs[good[-1].target]
            if caller.aborted == math.inf and run.by != "others":
                yield f"{caller.name} raises {caller.error!r} after run {run.id} has succeeded"


def deadline_holds(simulation: Simulation) -> Iterator[str]:
    """Law 7: A call ends within 1 s of `wait_timeout`, with the status read once more."""
    for caller in simulation.callers:
        config = caller.spec.config
        if "wait_timeout" not in config or was_aborted(caller):
            continue
        deadline = caller.started + config["wait_timeout"]
        grace = 6.0 if config["cancel_on_abort"] else 1.0
        if caller.ended > deadline + grace + 1e-6:
            yield f"{caller.name} ends {caller.ended - deadline:.2f} s after its deadline"
        if isinstance(caller.error, DBTCloudWaitTimeoutException):
            if caller.ended < deadline - 1e-6:
                yield f"{caller.name} times out too early"
            reads = [r for r in caller.requests if r.op == "get_run_status"]
            if not any(r.acted >= deadline - LAST_POLL for r in reads):
                yield f"{caller.name} did not read the status at its deadline"
            late = caller.error.run.is_complete
            if late:
                yield f"{caller.name} times out, though it knows that its run has finished"


def abort_is_quick(simulation: Simulation) -> Iterator[str]:
    """Law 8: An aborted call ends within 1 s, 6 s if it cancels, at a second signal now."""
    for caller in simulation.callers:
        if caller.aborted == math.inf:
            continue
        cancels = caller.spec.config.get("cancel_on_abort")
        limit = caller.aborted + (6.0 if cancels else 1.0)
        limit = min(limit, caller.aborted + caller.spec.abort_again + 0.1)
        if caller.ended > limit + 1e-6:
            yield f"{caller.name} ends {caller.ended - caller.aborted:.2f} s after its abort"
        if caller.error is None and caller.ended > caller.aborted:
            yield f"{caller.name} swallows its abort"


def abort_cancels(simulation: Simulation) -> Iterator[str]:
    """Law 8: With `cancel_on_abort`, no own run is left that could be seen and cancelled."""
    if simulation.world.spells and simulation.world.spells[0].percent:
        return
    for caller in simulation.callers:
        config = caller.spec.config
        if not config.get("cancel_on_abort") or caller.spec.abort_again < math.inf:
            continue
        if caller.aborted == math.inf or not caller.error:
            continue
        for run in simulation.cloud.runs.values():
            seen = run.created + max(simulation.world.habits.lag, 1.0)
            visible = seen < caller.aborted + 3.0 and run.by == caller.name
            is_lossless = all(
                r.fate in {"now/ok", ""} and (r.sent < caller.aborted or r.arrived <= caller.ended)
                for r in caller.requests
            )
            if visible and is_lossless and run.finished > caller.ended and not run.cancelled_by:
                yield f"{caller.name} is aborted, but run {run.id} is not cancelled"


def end_is_known_soon(simulation: Simulation) -> Iterator[str]:
    """Law 6: The end of a run is known at most `wait_seconds` after it, an early one sooner."""
    if "healthy" not in simulation.world.expects:
        return
    for caller in simulation.callers:
        if caller.result is None:
            continue
        run = simulation.cloud.runs[caller.result.id]
        reads = (r for r in caller.requests if r.op == "get_run_status" and r.target == run.id)
        known = min(r.arrived for r in reads if r.value and r.value.is_complete)
        # A poll, a look and another poll: each takes up to 0.6 s.
        limit = caller.spec.config["wait_seconds"] + 1.8
        is_usual = simulation.world.history_duration <= 30  # else it has failed early
        if run.finished < run.created + 30 and is_usual:
            limit = min(limit, 1.0 + 1.8 + (run.finished - run.created) / 15)
        if known > run.finished + limit:
            yield f"the end of run {run.id} is known after {known - run.finished:.1f} s"


def requests_are_few(simulation: Simulation) -> Iterator[str]:
    """Law 6: A run of ten minutes costs at most 120 requests with the defaults."""
    if "healthy" not in simulation.world.expects:
        return
    for caller in simulation.callers:
        if caller.result is None:
            continue
        run = simulation.cloud.runs[caller.result.id]
        is_default = caller.spec.config["wait_seconds"] == 10.0
        if is_default and run.duration <= 600 and len(caller.requests) > 120:
            yield f"run {run.id} of {run.duration:.0f} s costs {len(caller.requests)} requests"


def last_line_is_true(simulation: Simulation) -> Iterator[str]:
    """Law 8: The last line and the exception agree on what is known about the run."""
    for caller in simulation.callers:
        if caller.is_killed:
            continue
        last = caller.lines[-1][1] if caller.lines else ""
        reattach = re.search(r"get_dbt_cloud_run_status\(run_id=(\d+)\)", last)
        may_exist = "may exist" in last
        if caller.error is None:
            if reattach or may_exist:
                yield f"{caller.name} returns a run, but says {last!r}"
            continue
        if not _agrees(caller.error, last, bool(posts_of(caller))):
            yield f"{caller.name} raises {caller.error!r}, but says {last!r}"
        read = [
            r.value for r in caller.requests if r.op == "get_run_status" and r.arrived < math.inf
        ]
        over = {str(run.id) for run in read if run is not None and run.is_complete}
        if reattach and reattach[1] in over:
            yield f"{caller.name} has read that its run is over, but says {last!r}"
        yield from _abort_line(simulation, caller, last)


def _agrees(error: BaseException, last: str, has_sent: bool) -> bool:
    if isinstance(error, DBTCloudWaitException):
        ids = re.findall(r"\d+", last.partition("To reattach:")[2])
        runs = [str(run.id) for run in error.runs]
        run, url = f"dbt Cloud run {runs[0]}", re.escape(error.runs[0].url)
        cancelled = rf"(Cancelled {run}|{run} has ended \(\w+\)): {url}"
        another = r"( Another may exist: look for .+\.)?"
        return ids == runs or bool(re.fullmatch(cancelled + another, last))
    may_have_run = bool(re.search(r"may exist|To reattach", last))
    if isinstance(error, DBTCloudRunException | DBTCloudNotTriggeredException):
        return not may_have_run
    if isinstance(error, DBTCloudTriggerOutcomeUnknownException):
        return may_have_run or not has_sent
    return True


def _abort_line(simulation: Simulation, caller: Caller, last: str) -> Iterator[str]:
    """An aborted call says where its run is, if it has one, and nothing if it has none."""
    if caller.aborted == math.inf or len(caller.spec.follows) > 1:
        return
    cares = any(r.op in POSTS and r.sent <= caller.aborted for r in caller.requests)
    created = [run for run in simulation.cloud.runs.values() if run.by == caller.name]
    alive = [run for run in created if run.finished > caller.ended and not run.cancelled_by]
    if re.match(
        r"Cancelled|dbt Cloud run \d+ has ended", last
    ):  # of what a lost trigger creates later, nothing is known
        alive = [run for run in alive if run.created <= caller.ended]
    if cares and alive and not re.search(r"may exist|was in progress", last):
        yield f"{caller.name} leaves run {alive[0].id} in progress, but says {last!r}"
    if not cares and not created and "may exist" in last:
        yield f"{caller.name} has sent nothing, but says {last!r}"


def nothing_after_death(simulation: Simulation) -> Iterator[str]:
    """The simulation itself: a program does nothing when its process is dead."""
    for _, who, what in simulation.scheduler.story:
        if what == "AWAITED AFTER ITS DEATH":
            yield f"{who} awaits after its death"
