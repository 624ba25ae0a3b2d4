"""The key that an orchestrator gives to the work of this process: `run_key="auto"`.

A retry by the engine keeps the key; clearing a task, or starting the workflow anew, changes it.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._io import logger

AUTO: Final = "auto"
COUNTING: Final = threading.Lock()


class Host(NamedTuple):
    """An engine that names the work of a process in environment variables.

    Attributes:
        name: The engine.
        variables: What names the work. All must be set.
        more: Variables that also name it if they are set.
    """

    name: str
    variables: tuple[str, ...]
    more: tuple[str, ...] = ()


HOSTS: Final = (
    Host("github", ("GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB")),
    Host("gitlab", ("GITLAB_CI", "CI_PIPELINE_ID", "CI_JOB_NAME"), ("CI_SERVER_HOST",)),
    Host("aws-batch", ("AWS_BATCH_JOB_ID",)),
    Host("cloud-run", ("CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX")),
    # Kubernetes does not set these by itself: the pod's template takes them from its labels.
    Host(
        "kubernetes",
        ("KUBERNETES_SERVICE_HOST", "KUBERNETES_JOB_NAME"),
        ("KUBERNETES_JOB_UID", "JOB_COMPLETION_INDEX"),
    ),
)


def key_of(run_key: str | None) -> str | None:
    """Returns the key of a call, for `auto` that of the engine, None if there is none."""
    run_key = (run_key or "").strip()
    if run_key != AUTO:
        return run_key or None
    key = engine_key()
    if key:
        logger.info("run_key is %s", key)
    else:
        logger.info("run_key = auto: no orchestrator is detected, so there is no key")
    return key


def engine_key(environ: Mapping[str, str] = os.environ) -> str | None:
    """Returns the key that the innermost engine gives to the work, None if none does."""
    for name, read in IN_PROCESS.items():
        if name in sys.modules:
            try:
                return "/".join([name, *map(str, read())])
            except Exception as error:  # noqa: BLE001  # outside a task, or of another version
                logger.info("run_key = auto: couldn't read the current task of %s: %r", name, error)
    for host in HOSTS:
        if all(environ.get(it) for it in host.variables):
            named = [environ[it] for it in (*host.variables, *host.more) if environ.get(it)]
            return "/".join([host.name, *named])
    return None


def _airflow() -> list[Any]:
    """Returns what names a task instance.

    Clearing it raises `max_tries` by the tries that it has had; a retry leaves it as it is.
    """
    try:
        from airflow.sdk import get_current_context  # noqa: PLC0415  # it is imported already
    except ImportError:
        from airflow.operators.python import get_current_context  # noqa: PLC0415
    task = get_current_context()["ti"]
    return [task.dag_id, task.run_id, task.task_id, task.map_index, task.max_tries]


def _dagster() -> list[Any]:
    """Returns what names a step of a run. A retry of the run by Dagster has the same name."""
    from dagster import OpExecutionContext  # noqa: PLC0415  # as above

    context = OpExecutionContext.get()
    run = context.run
    while run.parent_run_id and {"dagster/retry_number", "dagster/is_resume_retry"} & {*run.tags}:
        run = context.instance.get_run_by_id(run.parent_run_id)
    return [run.run_id, context.get_step_execution_context().step.key]


def _prefect() -> list[Any]:
    """Returns what names a call of a task in a flow run, or the flow run.

    A retried flow run calls its tasks again, under new ids: it is their order that names them.
    """
    from prefect.context import FlowRunContext, TaskRunContext  # noqa: PLC0415  # as above

    flow, task = FlowRunContext.get(), TaskRunContext.get()
    if task is None:
        return [flow.flow_run.id]
    if flow is None:
        return [task.task_run.id]
    name, calls = task.task_run.task_key, flow.task_run_dynamic_keys  # of this try of the flow run
    with COUNTING:  # mapped tasks run in threads
        earlier = sum(key.startswith(f"{name}/") for key in calls)
        number = calls.setdefault(f"{name}/{task.task_run.id}", earlier)
    return [task.task_run.flow_run_id, name, number]


IN_PROCESS: Final[Mapping[str, Callable[[], list[Any]]]] = {
    "prefect": _prefect,
    "dagster": _dagster,
    "airflow": _airflow,
}
"""Engines that name the work in the process of a task, by the package that it has imported."""
