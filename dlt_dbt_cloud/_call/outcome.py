"""Tells the outcome of a run where it is looked for: in the log, on GitHub, in Slack."""

import logging
import sys
from typing import Any

from dlt import Pipeline
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.slack import send_slack_message

from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._report.notices import annotations, slack_text, write_summary
from dlt_dbt_cloud._values import int_of
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import InvalidCredentialsException
from dlt_dbt_cloud.run import DBTCloudRun, LoadedTables


def log_outcome(run: DBTCloudRun) -> None:
    """Logs the outcome of a run in a line: `print(run)` and the exception have the report."""
    level = logging.INFO if run.is_success else logging.ERROR
    logger.log(level, "%s", run.summary, extra={"dbt_cloud_run": run})


async def publish(io: IO, run: DBTCloudRun, config: DBTCloudConfiguration) -> None:
    """Tells GitHub and Slack of a finished run. If that fails, it is only logged."""
    try:
        for line in annotations(run):
            sys.stderr.write(f"{line}\n")
        write_summary(run)
    except Exception as error:  # noqa: BLE001  # whatever it is, the run matters
        logger.warning("Couldn't report run %d to GitHub Actions: %s", run.id, error)
    if config.notify and not run.is_success:
        try:
            await io.call(send_slack_message, slack_hook(), slack_text(run))
        except Exception as error:  # noqa: BLE001  # of the network; the message has the secret URL
            kind = type(error).__name__
            logger.warning("Couldn't send the outcome of run %d to Slack: %s", run.id, kind)


def slack_hook() -> str:
    """Returns where dlt sends its own notifications.

    Raises:
        InvalidCredentialsException: It is not configured.
    """
    for provider in Container()[PluggableRunContext].providers.providers:
        hook, _ = provider.get_value("slack_incoming_hook", str, "", "runtime")
        if hook:
            runtime = RuntimeConfiguration(slack_incoming_hook=hook)
            runtime.on_resolved()  # dlt may have it obfuscated
            return str(runtime.slack_incoming_hook)
    raise InvalidCredentialsException(
        "`notify` is set, but `slack_incoming_hook` is missing. Add to .dlt/secrets.toml:\n\n"
        '[runtime]\nslack_incoming_hook = "https://hooks.slack.com/services/..."\n'
    )


def loaded_tables(load: Load | None, pipeline: Pipeline | None) -> LoadedTables | None:
    """Returns what a load has loaded, with the rows if its pipeline has just done so."""
    if load is None:
        return None
    rows: dict[str, int] = {}
    trace: Any = pipeline.last_trace if pipeline else None
    info = getattr(trace, "last_load_info", None)
    if info and set(load.load_ids) <= set(info.loads_ids) and trace.last_normalize_info:
        counts = trace.last_normalize_info.row_counts
        rows = {name: int_of(n) or 0 for name, n in counts.items() if not name.startswith("_dlt")}
    return LoadedTables(load.pipeline_name, load.dataset_name, tuple(load.load_ids), rows)
