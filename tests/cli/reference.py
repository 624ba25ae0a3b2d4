"""Writes the reference of the command line, from its parser: `make reference`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from dlt_dbt_cloud._cli.parser import configure_parser
from dlt_dbt_cloud.plugin import DBTCloudCommand

PATH = Path(__file__).parents[2] / "docs" / "command-line.md"


def reference() -> str:
    """Returns the page."""
    return "\n".join(_lines()) + "\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    """Returns the parser of each command."""
    parser = argparse.ArgumentParser()
    configure_parser(parser)
    (actions,) = (it for it in parser._actions if isinstance(it, argparse._SubParsersAction))
    return dict(actions.choices)


def _lines() -> Iterator[str]:
    yield "# The command line"
    yield DBTCloudCommand.description.rstrip()
    yield "\nThis page is made from the parser: `make reference`."
    for name, parser in commands().items():
        positional = [it for it in parser._actions if not it.option_strings]
        arguments = "".join(f" [{it.metavar or it.dest}]" for it in positional)
        yield f"\n## dlt dbt-cloud {name}{arguments}\n"
        yield parser.description or "Runs a command against a local dbt Cloud: see `--help`."
        options = [it for it in parser._actions if it.dest != "help" and it.help]
        if options:
            yield from ("", "| argument | |", "|---|---|")
        yield from map(_row, options)


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
    text = str(action.help).replace("%%", "%").replace("|", "\\|")
    return f"| {names} | {' '.join(text.split())} |"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
