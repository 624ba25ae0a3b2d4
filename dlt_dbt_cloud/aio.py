"""Async versions of the functions that run a job and wait for runs, with the same names.

Cancelling the task ends the wait, and with `cancel_on_abort` the run. Calls in one event loop share
four threads. Each poll is one request for every hundred runs.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from dlt_dbt_cloud import jobs
from dlt_dbt_cloud._call.awaited import IS_AWAITED

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    @wraps(function)
    async def program(*args: P.args, **kwargs: P.kwargs) -> T:
        token = IS_AWAITED.set(True)
        try:
            begun = cast("Coroutine[Any, Any, T]", function(*args, **kwargs))
        finally:
            IS_AWAITED.reset(token)
        return await begun

    return program


run_dbt_cloud_job = _awaited(jobs.run_dbt_cloud_job)
get_dbt_cloud_run_status = _awaited(jobs.get_dbt_cloud_run_status)
wait_for_dbt_cloud_runs = _awaited(jobs.wait_for_dbt_cloud_runs)
