"""The steps of a job, read as dbt reads them."""

from __future__ import annotations

from functools import cache

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud.local.runners.commands import COMMANDS, WITH_VALUE, Command


@cache
def dbt() -> click.Group:
    """Returns dbt's own command line."""
    from dbt.cli.main import cli  # noqa: PLC0415  # takes seconds

    return cli


def options() -> list[click.Option]:
    """Returns the options that go before a command."""
    groups = [dbt(), *(it for it in dbt().commands.values() if isinstance(it, click.Group))]
    return [param for group in groups for param in group.params if isinstance(param, click.Option)]


def flags() -> st.SearchStrategy[str]:
    """Draws an option without a value, but none that makes dbt do nothing more."""
    of_dbt = [option for option in options() if option.is_flag]
    names = {name for option in of_dbt for name in (*option.opts, *option.secondary_opts)}
    return st.sampled_from(sorted(names - {"--version", "-V", "-v"}))


def test_options_with_values() -> None:
    """The options that take a value before a command are those that dbt declares."""
    assert {n for option in options() if not option.is_flag for n in option.opts} == WITH_VALUE


def test_commands() -> None:
    """A job can run all commands of dbt that neither wait for a person nor make a project."""
    names = set()
    for name, command in dbt().commands.items():
        inner = command.commands if isinstance(command, click.Group) else {}
        names |= {f"{name} {more}" for more in inner} or {name}
    assert names - {"init", "docs serve"} == COMMANDS


@given(
    name=st.sampled_from(sorted(COMMANDS)),
    options=st.lists(
        st.one_of(
            st.deferred(flags).map(lambda flag: (flag,)),
            st.tuples(
                st.sampled_from(sorted(WITH_VALUE - {"--log-path"})),
                st.sampled_from(["debug", "test", "build", "docs", "{a: b}", "-x"]),
            ),
            st.sampled_from([("--profile=build",), ("-tprod",), ("-qt", "run"), ("-xd",)]),
        )
    ),
)
def test_any_options_before_the_command(name: str, options: list[tuple[str, ...]]) -> None:
    """Whatever options and values come first, the command is the one that click finds."""
    words = [word for option in options for word in option]
    context = click.Context(dbt())
    parser = dbt().make_parser(context)
    parser.allow_interspersed_args = False
    _, rest, _ = parser.parse_args([*words, *name.split()])
    assert rest == name.split()
    command = Command.parse(" ".join(["dbt", *(f"'{word}'" for word in words), name]))
    assert command.name == name
    assert command.words[: command.after] == (*words, *name.split())
    threads = command.arguments(4)
    assert threads in (list(command.words), [*command.words, "--threads", "4"])


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("dbt --log-level debug build", "build"),
        ("dbt --profile test build --select test", "build"),
        ("dbt -t seed docs --quiet generate", "docs generate"),
        ("dbt run-operation test --args '{a: build}'", "run-operation"),
    ],
)
def test_commands_that_are_easily_misread(step: str, name: str) -> None:
    """A value or an argument that is called like a command is none."""
    assert Command.parse(step).name == name


@pytest.mark.parametrize(
    "step", ["", "dbt", "dbt --profile build", "dbt init", "dbt docs", "dbt docs serve", "rm -rf /"]
)
def test_what_is_no_step(step: str) -> None:
    """What isn't a command of dbt that a job can run is refused."""
    with pytest.raises(ValueError, match="is not a dbt command"):
        Command.parse(step)
