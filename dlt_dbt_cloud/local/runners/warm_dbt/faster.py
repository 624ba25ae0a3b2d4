"""Lets dbt do the same in less time.

What stands here replaces functions of dbt that take most of the time in a project of many models.
Each replacement returns what dbt's own returns, and only takes its place if the source of what it
rests on is the one that it was written for. In any other version dbt's own stays.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial, reduce
from typing import Any

_WRAPPED_MODELS = 4096


class Environ(type(os.environ)):  # type: ignore[misc]
    """The environment, decoded once: dbt goes through all of it for each line of its log."""

    decoded: dict[str, str] | None = None
    secrets: list[str] | None = None

    def __setitem__(self, key: str, value: str) -> None:
        """Set a variable."""
        Environ.decoded = Environ.secrets = None
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """Delete a variable."""
        Environ.decoded = Environ.secrets = None
        super().__delitem__(key)

    def items(self) -> Any:
        """Return the names and values."""
        found = Environ.decoded
        if found is None:
            found = Environ.decoded = dict(super().items())
        return found.items()


def find(path: str) -> Any:
    """Find what a path names, `module:name.name`."""
    module, _, names = path.partition(":")
    return reduce(getattr, filter(None, names.split(".")), importlib.import_module(module))


def digest(paths: tuple[str, ...]) -> str:
    """Return a digest of the source of what paths name."""
    sources = "".join(inspect.getsource(inspect.unwrap(find(path))) for path in paths)
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def init_generator(
    self: Any, macro: Any, context: Any = None, node: Any = None, stack: Any = None
) -> None:
    """Make the generator of a macro in one call instead of three."""
    self.context = context
    self.macro = macro
    self.node = node
    self.stack = stack


def add_macros(self: Any, macros: Iterable[Any], ctx: dict[str, Any]) -> None:
    """Add the macros of a package to a context, without calls for each."""
    generator, node, stack = find("dbt.context.macros:MacroGenerator"), self.node, self.thread_ctx
    package = None
    for macro in macros:
        if package != macro.package_name:
            package = macro.package_name
            is_internal = package in self.internal_package_names
            packages = self.internal_packages if is_internal else self.packages
            found = packages.setdefault(package, {})
            flat = None
            if not is_internal and package == self.search_package:
                flat = self.locals
            elif not is_internal and package == self.root_package:
                flat = self.globals
        made = generator(macro, ctx, node, stack)
        if found.setdefault(macro.name, made) is not made:
            raise find("dbt.exceptions:DuplicateMacroNameError")(macro, macro, package)
        if flat is not None:
            flat[macro.name] = made


def manifest_context(self: Any) -> Any:
    """Add the macros to a context, as a whole where dbt looks for each in five places."""
    context = super(find("dbt.context.manifest:ManifestContext"), self).to_dict()
    if isinstance(self.namespace, find("dbt.context.macro_resolver:TestMacroNamespace")):
        context.update(self.namespace.local_namespace)
        context.update(self.namespace.project_namespace)
    else:
        for found in reversed(tuple(self.namespace._search_order())):  # noqa: SLF001
            context.update(found)
    return context


class WrappedExports:
    """Wraps the exceptions of a context once for each model, and not for each context."""

    def __init__(self, own: Callable[[Any], dict[str, Any]]) -> None:
        self._own = own
        self._known: dict[int, tuple[Any, dict[str, Any]]] = {}

    def __call__(self, model: Any) -> dict[str, Any]:
        """Return the exceptions."""
        known = self._known.get(id(model))
        if known is None:
            if len(self._known) > _WRAPPED_MODELS:
                self._known.clear()
            known = self._known[id(model)] = (model, self._own(model))
        return dict(known[1])


def empty_table() -> Any:
    """Return an empty table, without preparing to find out the types of its columns."""
    return find("agate:Table")(rows=[], column_types=[])


def write_json(path: str, data: Any) -> bool:
    """Write JSON, with the encoder that is written in C."""
    system = importlib.import_module("dbt_common.clients.system")
    text = system.json.dumps(data, cls=system.dbt_common.utils.encoding.JSONEncoder)
    path = system.convert_path(path)
    system.make_directory(os.path.dirname(path))  # noqa: PTH120
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    return True


def make_match(
    self: Any, relations_list: list[Any], database: str, schema: str, identifier: str
) -> list[Any]:
    """Find the relations of a name. Another name is told without comparing all parts of it."""
    search = self._make_match_kwargs(database, schema, identifier)
    name, own = search.get("identifier"), find(f"{_RELATION}.matches")
    return [
        relation
        for relation in relations_list
        if (name is None or type(relation).matches is not own or _is_called(relation, name))
        and relation.matches(**search)
    ]


def _is_called(relation: Any, name: str) -> bool:
    quote = relation.quote_character
    return bool(str(relation.identifier).lower().strip(quote) == name.lower().strip(quote))


class EnvSecrets:
    """Finds the secrets of the environment, once."""

    def __init__(self, own: Callable[[], list[str]]) -> None:
        self._own = own

    def __call__(self) -> list[str]:
        """Return the secrets."""
        found = Environ.secrets
        if found is None:
            found = Environ.secrets = self._own()
        return list(found)


class InitEvent:
    """Makes an event from the fields of its message, and parses them only if need be."""

    def __init__(self, own: Callable[..., None]) -> None:
        self._own = own

    def __get__(self, event: Any, kind: type) -> Any:
        """Bind it to an event, as a function would be."""
        return partial(self, event)

    def __call__(self, event: Any, *args: Any, **kwargs: Any) -> None:
        """Make the message."""
        fields = {k: str(v) if k in ("base_msg", "msg") else v for k, v in kwargs.items()}
        try:
            message = getattr(event.PROTO_TYPES_MODULE, type(event).__name__)
            event.pb_msg = message(*args, **fields)
        except Exception:  # noqa: BLE001  # dbt's own says so, if it can't be parsed either
            self._own(event, *args, **kwargs)


def msg_from_base_event(event: Any, level: Any = None) -> Any:
    """Make the message of an event, field by field: there is nothing to parse."""
    base = importlib.import_module("dbt_common.events.base_types")
    made = getattr(event.PROTO_TYPES_MODULE, f"{type(event).__name__}Msg")()
    info = made.info
    info.level = level.value if level else event.level_tag().value
    info.msg = event.message()
    info.invocation_id = base.get_invocation_id()
    info.extra.update(base.get_global_metadata_vars())
    info.ts.FromDatetime(datetime.now(timezone.utc))
    info.pid = base.get_pid()
    info.thread = threading.current_thread().name
    info.code = event.code()
    info.name = type(event).__name__
    made.data.CopyFrom(event.pb_msg)
    return made


_EVENT = "dbt_common.events.base_types"
_RELATION = "dbt.adapters.base.relation:BaseRelation"
_PATH = "dbt.adapters.contracts.relation:Path"

Known = tuple[Any, tuple[str, ...], tuple[str, ...], str]
"""A replacement, what it replaces, what else it rests on, and the digest of all that."""

KNOWN: tuple[Known, ...] = (
    (
        init_generator,
        ("dbt.clients.jinja:MacroGenerator.__init__",),
        (
            "dbt_common.clients.jinja:CallableMacroGenerator.__init__",
            "dbt_common.clients.jinja:BaseMacroGenerator.__init__",
        ),
        "e1d9aa252004d2ef",
    ),
    (
        add_macros,
        ("dbt.context.macros:MacroNamespaceBuilder.add_macros",),
        ("dbt.context.macros:MacroNamespaceBuilder",),
        "d021ef710f8d7ab3",
    ),
    (
        manifest_context,
        ("dbt.context.manifest:ManifestContext.to_dict",),
        ("dbt.context.macros:MacroNamespace",),
        "6b165287cb58e44f",
    ),
    (
        WrappedExports,
        (
            "dbt.context.exceptions_jinja:wrapped_exports",
            "dbt.context.providers:wrapped_exports",
        ),
        ("dbt.context.exceptions_jinja:wrapper",),
        "8fcac42cdbb53344",
    ),
    (
        empty_table,
        ("dbt_common.clients.agate_helper:empty_table",),
        ("agate:Table.__init__", "agate:TypeTester.run"),
        "b1fe835c8b05fb4e",
    ),
    (
        write_json,
        ("dbt_common.clients.system:write_json", "dbt.artifacts.schemas.base:write_json"),
        (),
        "b198458265326682",
    ),
    (
        make_match,
        ("dbt.adapters.base.impl:BaseAdapter._make_match",),
        (
            f"{_RELATION}.matches",
            f"{_RELATION}._is_exactish_match",
            f"{_PATH}.get_lowered_part",
            f"{_PATH}.get_part",
        ),
        "e9b6919ee808646d",
    ),
    (
        EnvSecrets,
        (
            "dbt_common.exceptions.base:env_secrets",
            "dbt_common.events.functions:env_secrets",
        ),
        (),
        "6db2ad8bcb24ad27",
    ),
    (InitEvent, (f"{_EVENT}:BaseEvent.__init__",), (), "19e8dedf28439f5a"),
    (
        msg_from_base_event,
        (f"{_EVENT}:msg_from_base_event", "dbt_common.events.event_manager:msg_from_base_event"),
        (f"{_EVENT}:get_thread_name", "dbt_common.events.helpers:get_json_string_utcnow"),
        "7ca7693aa0ff749c",
    ),
)


def install() -> None:
    """Put the replacements in place, once."""
    if isinstance(os.environ, Environ):
        return
    os.environ.__class__ = Environ
    for replacement, places, rests_on, expected in KNOWN:
        with suppress(Exception):  # another version: it has its own
            if digest((*places, *rests_on)) == expected:
                replace(replacement, places)


def replace(replacement: Any, places: tuple[str, ...]) -> None:
    """Put a replacement in its places. A class is made with what stands there."""
    if isinstance(replacement, type):
        replacement = replacement(find(places[0]))
    for place in places:
        module, _, names = place.partition(":")
        *owner, name = names.split(".")
        setattr(find(f"{module}:{'.'.join(owner)}"), name, replacement)
