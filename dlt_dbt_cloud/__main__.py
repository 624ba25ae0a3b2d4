"""`python -m dlt_dbt_cloud`: the same as `dlt dbt-cloud`, also if dlt loads no plugins."""

import argparse
import sys
from collections.abc import Sequence

from dlt_dbt_cloud._cli.parser import configure_parser, execute
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud.plugin import DBTCloudCommand


def main(argv: Sequence[str] | None = None, io: IO | None = None) -> int:
    """Runs a command, and returns its exit code.

    Args:
        argv: The arguments, by default those of the process.
        io: Clock, sleep and calls, which tests replace.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dlt_dbt_cloud",
        description=DBTCloudCommand.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    configure_parser(parser)
    return execute(parser.parse_args(argv), io)


if __name__ == "__main__":
    sys.exit(main())
