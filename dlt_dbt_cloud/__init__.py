"""Run a dbt Cloud job at the end of a dlt pipeline: once, with a deadline and clear errors."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt_dbt_cloud._values.load import load_ref
    from dlt_dbt_cloud.client import DBTCloudClientV2
    from dlt_dbt_cloud.configuration import DBTCloudConfiguration
    from dlt_dbt_cloud.exceptions import (
        DBTCloudAPIException,
        DBTCloudCheckException,
        DBTCloudConnectionException,
        DBTCloudException,
        DBTCloudHTTPException,
        DBTCloudJobNotUniqueException,
        DBTCloudNotTriggeredException,
        DBTCloudResponseException,
        DBTCloudRunCancelledException,
        DBTCloudRunException,
        DBTCloudRunFailedException,
        DBTCloudRunKeyException,
        DBTCloudRunOutcomeUnknownException,
        DBTCloudRunTimedOutException,
        DBTCloudRunUnreachableException,
        DBTCloudStoppedException,
        DBTCloudTriggerException,
        DBTCloudTriggerOutcomeUnknownException,
        DBTCloudWaitException,
        DBTCloudWaitTimeoutException,
        InvalidCredentialsException,
    )
    from dlt_dbt_cloud.jobs import (
        check_dbt_cloud_job,
        get_dbt_cloud_run_status,
        run_dbt_cloud_job,
        wait_for_dbt_cloud_runs,
    )
    from dlt_dbt_cloud.run import DBTCloudNode, DBTCloudRun, DBTCloudRunError, DBTCloudRunStatus
    from dlt_dbt_cloud.sources.yml import dbt_sources

    __version__: str

__all__ = [
    "DBTCloudAPIException",
    "DBTCloudCheckException",
    "DBTCloudClientV2",
    "DBTCloudConfiguration",
    "DBTCloudConnectionException",
    "DBTCloudException",
    "DBTCloudHTTPException",
    "DBTCloudJobNotUniqueException",
    "DBTCloudNode",
    "DBTCloudNotTriggeredException",
    "DBTCloudResponseException",
    "DBTCloudRun",
    "DBTCloudRunCancelledException",
    "DBTCloudRunError",
    "DBTCloudRunException",
    "DBTCloudRunFailedException",
    "DBTCloudRunKeyException",
    "DBTCloudRunOutcomeUnknownException",
    "DBTCloudRunStatus",
    "DBTCloudRunTimedOutException",
    "DBTCloudRunUnreachableException",
    "DBTCloudStoppedException",
    "DBTCloudTriggerException",
    "DBTCloudTriggerOutcomeUnknownException",
    "DBTCloudWaitException",
    "DBTCloudWaitTimeoutException",
    "InvalidCredentialsException",
    "check_dbt_cloud_job",
    "dbt_sources",
    "get_dbt_cloud_run_status",
    "load_ref",
    "run_dbt_cloud_job",
    "wait_for_dbt_cloud_runs",
]


def __getattr__(name: str) -> Any:
    """Imports a public name on first use: dlt imports this package whenever it starts."""
    if name == "__version__":
        return metadata.version("dlt-dbt-cloud")
    if name in __all__:
        for module in (
            "jobs",
            "configuration",
            "exceptions",
            "run",
            "client",
            "_values.load",
            "sources.yml",
        ):
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
