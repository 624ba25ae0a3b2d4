"""A local dbt Cloud: its API v2 over real dbt Core, to try, test and debug pipelines.

    with LocalDBTCloud("flights_dbt") as cloud:
        run_dbt_cloud_job(credentials=cloud.credentials)

It answers as dbt Cloud does. Each answer says in the header `X-Local-DBT-Cloud-Basis` what it rests
on: a recording, dbt Labs' description, what clients rely on, or a guess. All behaviours are in the
table of `dlt_dbt_cloud.local.api.behaviours`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
    from dlt_dbt_cloud.local.faults import Fault, Request
    from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob
    from dlt_dbt_cloud.local.scenes import Scene
    from dlt_dbt_cloud.local.server import LocalDBTCloud

__all__ = [
    "DBTJob",
    "Fault",
    "LocalDBTCloud",
    "LocalDBTCloudException",
    "Request",
    "Scene",
    "ScriptedJob",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is asked for: pytest imports our fixtures in every project."""
    if name in __all__:
        for module in ("jobs", "faults", "scenes", "exceptions", "server"):
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
