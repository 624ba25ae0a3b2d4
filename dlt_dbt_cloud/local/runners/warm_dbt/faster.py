"""Lets dbt do the same in less time.

What stands here replaces functions of dbt that take most of the time in a project of many models.
Each replacement returns what dbt's own returns, and only takes its place if the source of what it
relies on is the one that it was written for. In any other version dbt's own stays.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from contextlib import suppress
from typing import Any

from .contexts import (
    ArgsToDict,
    Compiled,
    WrappedExports,
    build_namespace,
    generate_merged,
    init_generator,
    manifest_context,
)
from .database import default_source, empty_table, get_relations, make_match
from .find import find
from .output import (
    DatetimeString,
    Environ,
    EnvSecrets,
    InitEvent,
    msg_from_base_event,
    write_json,
    write_line,
)


def digest(paths: tuple[str, ...]) -> str:
    """Return a digest of the source of what paths name."""
    sources = "".join(inspect.getsource(inspect.unwrap(find(path))) for path in paths)
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


_EVENT = "dbt_common.events.base_types"
_RELATION = "dbt.adapters.base.relation:BaseRelation"
_PATH = "dbt.adapters.contracts.relation:Path"
_CACHE = "dbt.adapters.cache"
_JINJA = "dbt_common.clients.jinja"
_LOGGER = "dbt_common.events.logger"

Known = tuple[Any, tuple[str, ...], tuple[str, ...], str]
"""A replacement, what it replaces, what else it relies on, and the digest of all that."""

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
        build_namespace,
        ("dbt.context.macros:MacroNamespaceBuilder.build_namespace",),
        (
            "dbt.context.macros:MacroNamespaceBuilder",
            "dbt.context.macros:MacroNamespace.__init__",
            "dbt.contracts.graph.manifest:Manifest.get_macros_by_package",
        ),
        "685d7d04e394f8b7",
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
    (
        Compiled,
        (f"{_JINJA}:MacroFuzzEnvironment.compile",),
        (f"{_JINJA}:MacroFuzzEnvironment", f"{_JINJA}:get_environment", f"{_JINJA}:get_template"),
        "ba0f6b6fc217b707",
    ),
    (
        ArgsToDict,
        ("dbt.utils.utils:args_to_dict", "dbt.context.providers:args_to_dict"),
        ("dbt.flags:get_flag_dict",),
        "c7fab837306a5995",
    ),
    (
        generate_merged,
        ("dbt.context.providers:ModelConfiguredVar._generate_merged",),
        ("dbt.config.project:IsFQNResource",),
        "67bb21456ff1af3e",
    ),
    (
        get_relations,
        (f"{_CACHE}:RelationsCache.get_relations",),
        (f"{_CACHE}:RelationsCache", f"{_CACHE}:_CachedRelation", f"{_CACHE}:_make_ref_key"),
        "b663891f5b1d7f45",
    ),
    (
        default_source,
        ("dbt_common.behavior_flags:BehaviorFlagRendered._default_source",),
        (),
        "29a653aaaebbe60d",
    ),
    (
        DatetimeString,
        (
            "dbt_common.events.format:timestamp_to_datetime_string",
            f"{_LOGGER}:timestamp_to_datetime_string",
        ),
        (),
        "e6025fac30b01edc",
    ),
    (
        write_line,
        (f"{_LOGGER}:_Logger.write_line",),
        (f"{_LOGGER}:_Logger", f"{_LOGGER}:_TextLogger", f"{_LOGGER}:_JsonLogger"),
        "e26a95b1e2dbd632",
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
    """Put a replacement in its places. A class is called with what it replaces."""
    if isinstance(replacement, type):
        replacement = replacement(find(places[0]))
    for place in places:
        module, _, names = place.partition(":")
        *owner, name = names.split(".")
        setattr(find(f"{module}:{'.'.join(owner)}"), name, replacement)
