"""The command `dlt dbt-cloud`, as a plugin of dlt.

dlt imports this module whenever it is used, so it imports nothing but what dlt has imported before.
"""

import argparse
from typing import ClassVar

from dlt.common.configuration.plugins import hookimpl


class DBTCloudCommand:
    """What dlt asks of a command (`SupportsCliCommand`, which not each dlt has in one place)."""

    command: ClassVar[str] = "dbt-cloud"
    help_string: ClassVar[str] = "Runs jobs of dbt Cloud and looks at their runs"
    description: ClassVar[str] = """
Runs jobs of dbt Cloud and looks at their runs. What is not passed is found where a pipeline script
finds it: in `[dbt_cloud]` of `.dlt/secrets.toml` and `.dlt/config.toml`, or as `DBT_CLOUD__...` in
the environment. The token is configured there, and never passed.

Exit codes:

- 0: succeeded
- 1: the run failed, or there was nothing to cancel
- 2: wrong usage or configuration, among them all that dbt Cloud refuses
- 3: the run was cancelled
- 4: the run timed out, or had not ended after `--wait-timeout`
- 5: the API is unreachable, or the outcome of the run is not known
- 6: the run is in progress, for `status --no-wait`
- 128 + n: interrupted by signal n
"""
    docs_url: ClassVar[str | None] = None
    parent: ClassVar[str | None] = None
    compose: ClassVar[str] = "replace"

    def configure_parser(self, parser: argparse.ArgumentParser) -> None:
        """Adds the subcommands."""
        from dlt_dbt_cloud._cli.parser import configure_parser  # noqa: PLC0415  # see the module

        configure_parser(parser)

    def execute(self, args: argparse.Namespace) -> None:
        """Carries out a subcommand, and exits with its code, unaltered by dlt."""
        from dlt_dbt_cloud._cli.parser import execute  # noqa: PLC0415  # see the module

        raise SystemExit(execute(args))


@hookimpl
def plug_cli() -> type[DBTCloudCommand]:
    """Offers the command to dlt, and to `dlthub`, which takes over in a dltHub workspace.

    Newer versions of dlt pass the `host` that asks. Older ones refuse a plugin that expects it.
    """
    return DBTCloudCommand
