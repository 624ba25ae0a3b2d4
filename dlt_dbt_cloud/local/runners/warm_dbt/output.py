"""Faster versions of what writes events, logs and artifacts."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any


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
    if extra := base.get_global_metadata_vars():
        info.extra.update(extra)
    info.ts.FromMicroseconds(time.time_ns() // 1000)
    info.pid = base.get_pid()
    info.thread = threading.current_thread().name
    info.code = event.code()
    info.name = type(event).__name__
    made.data.CopyFrom(event.pb_msg)
    return made


def write_line(self: Any, msg: Any) -> None:
    """Write a line to a log, if its level is wanted there, without making a record of it."""
    events = importlib.import_module("dbt_common.events.logger")
    level = "error" if events._is_print_event(msg) else msg.info.level  # noqa: SLF001
    log = self._python_logger
    number = events._log_level_map.get(level, 50)  # noqa: SLF001  # dbt refuses an unknown one
    if log is None or not log.isEnabledFor(number):
        return
    line = self.create_line(msg)
    try:
        _append(log.handlers, f"{line}\n")
    except Exception:  # noqa: BLE001  # logging reports it as usual
        events.send_to_logger(log, level, line)


class DatetimeString:
    """Writes the time of an event. The seconds are written anew when they change."""

    def __init__(self, own: Callable[[Any], str]) -> None:
        self._own = own
        self._known = (-1, "")

    def __call__(self, ts: Any) -> str:
        """Return the time, with microseconds."""
        seconds, text = self._known
        if seconds != ts.seconds:
            text = self._own(ts)[:-6]
            self._known = ts.seconds, text
        return f"{text}{ts.nanos // 1000:06}"


def _append(handlers: list[Any], text: str) -> None:
    # dbt's loggers have one handler, whose format is the message.
    (handler,) = handlers
    with handler.lock:
        limit = getattr(handler, "maxBytes", 0)
        if limit and handler.stream.buffer.tell() + len(text) >= limit:
            handler.doRollover()
        handler.stream.write(text)
        handler.stream.flush()


def write_json(path: str, data: Any) -> bool:
    """Write JSON, with the encoder that is written in C."""
    system = importlib.import_module("dbt_common.clients.system")
    text = system.json.dumps(data, cls=system.dbt_common.utils.encoding.JSONEncoder)
    path = system.convert_path(path)
    system.make_directory(os.path.dirname(path))  # noqa: PTH120
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    return True
