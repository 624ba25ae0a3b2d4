"""Situations of dbt Cloud that a test plays by name, see `LocalDBTCloud.play`.

What each one rests on is in the table of behaviours, as `scene.NAME`.
"""

import math
from enum import Enum
from typing import Final

from dlt_dbt_cloud.local.api.wire import Wire
from dlt_dbt_cloud.local.faults import Fault
from dlt_dbt_cloud.local.jobs import ScriptedJob
from dlt_dbt_cloud.local.runners.dbt import timed_out
from dlt_dbt_cloud.local.state.world import World

_OUTAGE: Final = 38 * 60.0
_FAILURES: Final = 100


class Scene(str, Enum):
    """The scenes that can be played."""

    RUN_SLOTS = "run_slots"
    """The account has one run slot: the runs of all jobs wait for each other."""
    DEACTIVATION = "deactivation"
    """Each job has failed 99 times in a row, and is deactivated if it fails again."""
    TIMED_OUT = "timed_out"
    """The next run times out after 24 h."""
    CAPACITY = "capacity"
    """The next run is cancelled before it starts, for lack of capacity."""
    STUCK_QUEUE = "stuck_queue"
    """The next run stays queued, and later runs of its job stay behind it."""
    OUTAGE = "outage"
    """Every request gets a gateway's 504, for 38 minutes or the given time."""
    SLOW_API = "slow_api"
    """Every answer takes 5 s, until the end or for the given time."""


_SCRIPTS: Final = {
    Scene.TIMED_OUT: ScriptedJob(statuses=(1, 3, 30), status_message=timed_out(24 * 60 * 60)),
    Scene.CAPACITY: ScriptedJob(
        statuses=(1, 30),
        status_message="This run was canceled after waiting 10 minutes to start due to capacity.",
    ),
    Scene.STUCK_QUEUE: ScriptedJob(statuses=(1,)),
}


def play(scene: Scene, world: World, wire: Wire, seconds: float | None) -> None:
    """Set the scene."""
    if scene in _SCRIPTS:
        world.next_script = _SCRIPTS[scene]
    elif scene is Scene.RUN_SLOTS:
        world.run_slots = 1
    elif scene is Scene.DEACTIVATION:
        world.failures_allowed = _FAILURES
        for job in world.jobs.values():
            job.failure_count = _FAILURES - 1
    elif scene is Scene.OUTAGE:
        wire.fail_next(Fault.answer(504, html=True), seconds=seconds or _OUTAGE)
    else:
        wire.fail_next(Fault.slow(5.0), seconds=math.inf if seconds is None else seconds)
