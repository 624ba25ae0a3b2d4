"""`python -m dlt_dbt_cloud`: what `dlt dbt-cloud` does, also where dlt takes no commands."""

import argparse
import sys
from collections.abc import Sequence

from dlt_dbt_cloud._cli.parser import configure_parser, execute
from dlt_dbt_cloud.plugin import DBTCloudCommand
from dlt_dbt_cloud.timing import Timer


def main(argv: Sequence[str] | None = None, timer: Timer | None = None) -> int:
    """Runs a command, and returns its exit code.

    Args:
        argv: The arguments, by default those of the process.
        timer: Clock and sleep, for tests that must not wait.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dlt_dbt_cloud",
        description=DBTCloudCommand.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    configure_parser(parser)
    return execute(parser.parse_args(argv), timer)


if __name__ == "__main__":
    sys.exit(main())
