"""Settings of an operator: from its arguments, and from a connection of type `dbt_cloud`."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.specs.base_configuration import extract_inner_hint
from dlt.common.configuration.utils import deserialize_value

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud.airflow._compat import BaseHook
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, resolve_dbt_cloud_configuration

SETTINGS: Final = tuple(
    # Airflow shows arguments, so the token is not among them. `run_id` is one of the sensor.
    name
    for name in DBTCloudConfiguration.get_resolvable_fields()
    if name not in {"api_token", "run_id"}
)
"""The settings that an operator takes as arguments."""


def resolve(
    settings: Mapping[str, Any], conn_id: str | None, pipeline_name: str | None = None
) -> DBTCloudConfiguration:
    """Returns all settings: the given ones, else the connection's, else those of dlt's providers.

    Args:
        settings: The settings. None or an empty text, e.g. of a template, means not given.
        conn_id: The connection, if there is one.
        pipeline_name: Pipeline whose section wins.
    """
    given = {
        name: _typed(name, value) for name, value in settings.items() if value not in (None, "")
    }
    found = _from_connection(conn_id) if conn_id else {}
    credentials = DBTCloudConfiguration(**{**found, **given})
    requires = ("account_id", "run_id" if "run_id" in given else "job_id")
    return resolve_dbt_cloud_configuration(
        credentials, pipeline_name=pipeline_name, requires=requires
    )


def _typed(name: str, value: Any) -> Any:
    """Returns a setting in its type: a template renders to a text."""
    hint = extract_inner_hint(DBTCloudConfiguration.get_resolvable_fields()[name])
    with suppress(ConfigValueCannotBeCoercedException):  # the check of the setting says it better
        return deserialize_value(name, value, hint)
    return value


def _from_connection(conn_id: str) -> dict[str, str]:
    """Returns what the official provider keeps in a connection."""
    connection = BaseHook.get_connection(conn_id)
    found = {
        "api_token": connection.password,
        "account_id": connection.login,
        "base_api_url": connection.host,
    }
    return {name: value for name, value in found.items() if value}


class _ToRoot(logging.Handler):
    """Passes records to the root logger, whose records Airflow writes to the log of the task."""

    def emit(self, record: logging.LogRecord) -> None:
        """Passes on a record."""
        logging.getLogger().handle(record)


def log_to_task() -> None:
    """Sends our log to the task's, from level INFO.

    dlt's logger writes to stderr, which Airflow logs as errors.
    """
    if not any(isinstance(handler, _ToRoot) for handler in logger.handlers):
        logger.addHandler(_ToRoot())
    logger.propagate = False
    logger.setLevel(logging.INFO)  # dlt sets the level of its own logger later, when it starts
