"""The command line of `dlt dbt-cloud`: its options, what it prints, and its exit code."""

import argparse
import inspect
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Final, NamedTuple

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.runtime import signals
from dlt.common.typing import extract_inner_type, is_list_generic_type

from dlt_dbt_cloud._cli import commands, setup, sources
from dlt_dbt_cloud._cli.answers import Answer, ExitCode, exit_code_of, typed
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud.configuration import TRIGGER_FIELDS, DBTCloudConfiguration, setting_docs
from dlt_dbt_cloud.exceptions import DBTCloudException, DBTCloudWaitException

ACCOUNT: Final = ("account_id", "base_api_url")
CONNECTION: Final = (*ACCOUNT, "outage_timeout")
JOB: Final = ("project_id", "environment_id")
WAIT: Final = ("wait_seconds", "wait_timeout")
WATCH: Final = ("progress", "logs")
NO_OPTIONS: Final = (
    "api_token",  # whoever lists the processes would see it
    *("job_id", "job_name", "run_id"),  # are positional
    "wait_for_outcome",  # is --wait and --no-wait
    "raise_on_failure",  # is what the exit code says
)
OF_A_RUN: Final = tuple(
    name
    for name in DBTCloudConfiguration.get_resolvable_fields()
    if name not in (*NO_OPTIONS, *CONNECTION)
)


class Command(NamedTuple):
    """A command: its function, its positional argument, the settings that are its options."""

    function: Callable[[argparse.Namespace, IO | None], Answer]
    subject: str
    settings: tuple[str, ...] = ()
    waits: bool = False
    reads_settings: bool = True


COMMANDS: Final = {
    "init": Command(setup.init, "job", reads_settings=False),
    "check": Command(setup.check, "job", JOB),
    "jobs": Command(commands.jobs, "", JOB),
    "run": Command(commands.run, "job", OF_A_RUN, waits=True),
    "status": Command(commands.status, "run", (*WAIT, *WATCH), waits=True),
    "cancel": Command(commands.cancel, "run"),
    "retry": Command(commands.retry, "run", (*WAIT, *WATCH, "cancel_on_abort"), waits=True),
    "runs": Command(commands.runs, "job", JOB),
    "logs": Command(commands.logs, "run", WAIT),
    "report": Command(commands.report, "run"),
    "sources": Command(sources.sources, "pipeline"),
}


def execute(args: argparse.Namespace, io: IO | None = None) -> int:
    """Runs a parsed command, and returns its exit code."""
    if args.operation == "local":
        return local(args.arguments)
    args.stdout = sys.stdout
    # Standard output holds the answer and nothing else, whatever a library prints.
    with redirect_stdout(sys.stderr), _log_to_stderr():
        answer = _answer(args, io)
    output = json.dumps(answer.data, indent=2, default=str) if args.json else answer.text
    sys.stdout.write(f"{output}\n" if output else "")
    return answer.exit_code


def _answer(args: argparse.Namespace, io: IO | None) -> Answer:
    try:
        with signals.intercepted_signals():
            return COMMANDS[args.operation].function(args, io)
    except (DBTCloudException, ConfigurationException) as error:
        return _answer_to(error, exit_code_of(error))
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_code", signal.SIGINT)
        return _answer_to(interrupt, ExitCode.SIGNALLED + number)


def _answer_to(error: BaseException, exit_code: int) -> Answer:
    text = typed(str(error).strip() or type(error).__name__)
    is_wait = isinstance(error, DBTCloudWaitException)
    if exit_code < ExitCode.SIGNALLED:  # else the last line says where the run is
        logger.error("%s", text.splitlines()[0] if is_wait else text)  # the rest was logged
    if exit_code == ExitCode.UNKNOWN:
        logger.error("To check host, token and account: dlt dbt-cloud check")
    data: dict[str, Any] = {"error": {"type": type(error).__name__, "message": text}}
    if isinstance(error, DBTCloudWaitException):
        data["run"] = error.run
    return Answer(exit_code, data, "")


class TypedFormatter(logging.Formatter):
    """Formats records as plain lines, with commands instead of the advice for scripts."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of a record."""
        return typed(super().format(record))


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Shows the log of the call as plain lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(TypedFormatter())
    handler.addFilter(lambda record: not hasattr(record, "dbt_cloud_run"))  # it is the answer
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def local(arguments: Sequence[str]) -> int:
    """Runs a command against a local dbt Cloud."""
    from dlt_dbt_cloud.local.__main__ import main  # noqa: PLC0415  # needs the extra `local`

    return main(arguments)


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to a parser."""
    added = parser.add_subparsers(title="Available subcommands", dest="operation", required=True)
    docs = {name: doc.replace("%", "%%") for name, doc in setting_docs().items()}
    for name, command in COMMANDS.items():
        doc = inspect.getdoc(command.function)
        _configure(added.add_parser(name, help=doc, description=doc), command, docs)
    added.choices["runs"].add_argument(
        "--limit", type=_count, default=10, metavar="N", help="How many runs, by default 10."
    )
    _configure_reports(added.choices)
    # All arguments go to the local dbt Cloud, --help too: nothing looks like an option here.
    doc = inspect.getdoc(local)
    passing_on = added.add_parser("local", help=doc, add_help=False, prefix_chars="\0")
    passing_on.add_argument("arguments", nargs=argparse.REMAINDER)


def _configure_reports(choices: Mapping[str, argparse.ArgumentParser]) -> None:
    add = choices["logs"].add_argument
    add("--follow", action="store_true", help="Show new lines until the run has finished.")
    add("--step", type=_count, metavar="N", help="Only the step with this number.")
    add = choices["report"].add_argument
    add("-o", "--output", metavar="FILE", help="Where to write, by default standard output.")
    formats = ("html", "markdown")
    add("--format", choices=formats, default="html", help="html or markdown, by default html.")


def _configure(parser: argparse.ArgumentParser, command: Command, docs: dict[str, str]) -> None:
    if command.subject == "pipeline":
        sources.configure(parser)
        return
    if command.subject == "job":
        parser.add_argument("job", nargs="?", help="Id or exact name of the job.")
    elif command.subject:
        parser.add_argument("run_id", nargs="?", metavar="run", help="Id of the run.")
    parser.add_argument("--json", action="store_true", help="Print JSON, and nothing else.")
    if command.reads_settings:
        doc = "Pipeline whose section `[<name>.dbt_cloud]` wins over `[dbt_cloud]`."
        parser.add_argument("--pipeline-name", metavar="NAME", help=doc)
    if command.waits:
        _add_setting(parser, "wait_for_outcome", docs, option="--wait")
    groups = {
        "connection": CONNECTION if command.reads_settings else ACCOUNT,
        "settings": [name for name in command.settings if name not in TRIGGER_FIELDS],
        "overrides": [name for name in command.settings if name in TRIGGER_FIELDS],
    }
    for title, names in groups.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_setting(group, name, docs)


def _add_setting(
    parser: argparse._ActionsContainer, name: str, docs: dict[str, str], option: str = ""
) -> None:
    """Adds a setting as an option. Without it, the setting is looked up."""
    kind: Any = extract_inner_type(DBTCloudConfiguration.get_resolvable_fields()[name])
    doc = docs.get(name)
    kwargs: dict[str, Any] = {"type": kind, "metavar": "TEXT" if kind is str else "N"}
    if kind is bool:
        kwargs = {"action": argparse.BooleanOptionalAction}
    elif is_list_generic_type(kind):
        kwargs = {"action": "extend", "type": _list, "metavar": "TEXT"}
        doc = f"{doc or ''} Pass such a list, or repeat the option."
    option = option or f"--{name.replace('_', '-')}"
    parser.add_argument(option, dest=name, default=None, help=doc, **kwargs)


def _list(text: str) -> list[str]:
    """Returns a list given as JSON, or a list of the text."""
    try:
        values = json.loads(text) if text.lstrip().startswith("[") else [text]
    except ValueError:
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise argparse.ArgumentTypeError(f'{text!r} is not a list such as ["dbt build"]')
    return values


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)
