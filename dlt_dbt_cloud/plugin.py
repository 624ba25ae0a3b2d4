"""The command `dlt dbt-cloud`, as a plugin of dlt.

dlt imports this module at every start, so it imports only what dlt has imported already.
"""

import argparse
from typing import ClassVar

from dlt.common.configuration.plugins import hookimpl


class DBTCloudCommand:
    """A command of dlt (`SupportsCliCommand`, whose place differs between versions of dlt)."""

    command: ClassVar[str] = "dbt-cloud"
    help_string: ClassVar[str] = "Runs dbt Cloud jobs and shows their runs"
    description: ClassVar[str] = """
Runs dbt Cloud jobs and shows their runs. Settings that you don't pass are looked up as in a
pipeline script: in `[dbt_cloud]` of `.dlt/secrets.toml` and `.dlt/config.toml`, or as
`DBT_CLOUD__...` in the environment. The token is configured there, and never passed.

Exit codes:

- 0: succeeded, or triggered with `--no-wait`
- 1: the run failed, there was nothing to cancel, or `sources --check` found differences
- 2: wrong usage or configuration, or dbt Cloud refused the request
- 3: the run was cancelled
- 4: the run timed out, or did not finish within `--wait-timeout`
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
        """Runs a subcommand, and exits with its code: dlt would change it."""
        from dlt_dbt_cloud._cli.parser import execute  # noqa: PLC0415  # see the module

        raise SystemExit(execute(args))


@hookimpl
def plug_cli() -> type[DBTCloudCommand]:
    """Offers the command to dlt, and to `dlthub`, which takes over in a dltHub workspace.

    Newer versions of dlt pass a `host`. Older ones refuse a plugin that takes it: this one doesn't.
    """
    return DBTCloudCommand
