"""Imports what Airflow 2 and 3 have in different places."""

import asyncio
from typing import Any

from dlt.common.exceptions import MissingDependencyException

try:
    from airflow.triggers.base import BaseTrigger, TriggerEvent
except ModuleNotFoundError as error:
    raise MissingDependencyException("Airflow", ["dlt-dbt-cloud[airflow]"]) from error

try:
    from airflow.sdk import (
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Context,
        PokeReturnValue,
    )
    from airflow.sdk.configuration import conf
    from airflow.sdk.execution_time.xcom import XCom
except ImportError:  # Airflow 2
    from airflow.configuration import conf
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.xcom import XCom
    from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
    from airflow.utils.context import Context

__all__ = [
    "DEFERRABLE",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "PokeReturnValue",
    "TriggerEvent",
    "XCom",
    "was_stopped",
]

DEFERRABLE: bool = conf.getboolean("operators", "default_deferrable", fallback=False)
"""Whether operators wait in the triggerer by default."""


async def was_stopped(trigger: BaseTrigger) -> bool:
    """Returns True if the trigger ends because a person has acted on its task.

    From version 3.3, Airflow calls the trigger's `on_kill` then, and this returns False. In earlier
    versions, only the task's state tells that case from the end of the triggerer.
    """
    if hasattr(BaseTrigger, "on_kill") or trigger.task_instance is None:
        return False
    state = await asyncio.to_thread(_state, trigger.task_instance)
    return state is not None and str(state) != "deferred"


def _state(ti: Any) -> Any:
    """Returns the state of a task in the database."""
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415
    except ImportError:  # Airflow 2
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        return TaskInstance.get_task_instance(
            dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index
        ).state
    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    return states.get(ti.run_id, {}).get(name)
