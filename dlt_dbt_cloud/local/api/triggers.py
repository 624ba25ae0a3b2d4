"""The body of a trigger request: read from JSON or a form, and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from dlt_dbt_cloud.local.commands import Command
from dlt_dbt_cloud.local.state.records import Overrides

if TYPE_CHECKING:
    from werkzeug import Request

CAUSE_MAX_LENGTH: Final = 255


class InvalidTriggerError(ValueError):
    """The body is not one of a trigger. Its `data` is the detail of the answer."""

    def __init__(self, data: str | dict[str, str]) -> None:
        super().__init__(data)
        self.data = data


def read(request: Request) -> tuple[str, Overrides]:
    """Read the cause and the overrides of a trigger. Unknown keys are tolerated.

    Raises:
        InvalidTriggerError: The body doesn't parse, or a value is of the wrong type.
    """
    body = _json(request) if request.mimetype == "application/json" else _form(request)
    if body.get("cause") is None:
        raise InvalidTriggerError("'cause' is a required property")
    known = {"cause": _cause, **_CHECKS}
    values = {
        key: _checked(key, check, body[key])
        for key, check in known.items()
        if body.get(key) is not None
    }
    return values.pop("cause"), Overrides(**values)


def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except ValueError as e:
        raise InvalidTriggerError(f"JSON parse error - {e}") from None
    if not isinstance(body, dict):
        raise InvalidTriggerError(f"{body!r} is not of type 'object'")
    return body


def _form(request: Request) -> dict[str, Any]:
    """Read a form, which has but strings: numbers and booleans are made of them."""
    values: dict[str, Any] = {key: _from_text(key, value) for key, value in request.form.items()}
    if "steps_override" in request.form:
        values["steps_override"] = request.form.getlist("steps_override")
    return values


def _from_text(key: str, text: str) -> Any:
    if _CHECKS.get(key) is _integer and text.removeprefix("-").isdigit():
        return int(text)
    if _CHECKS.get(key) is _boolean:
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _checked(key: str, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except ValueError as e:
        raise InvalidTriggerError({key: str(e)}) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not of type 'string'")  # noqa: TRY004  # it is the answer
    if not value:
        raise ValueError("'' is too short")
    return value


def _cause(value: Any) -> str:
    if len(_text(value)) > CAUSE_MAX_LENGTH:
        raise ValueError(f"{value!r} is too long")
    return str(value)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not of type 'integer'")  # noqa: TRY004  # it is the answer
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not of type 'boolean'")  # noqa: TRY004  # it is the answer
    return value


def _steps(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not of type 'array'")  # noqa: TRY004  # it is the answer
    for step in value:
        Command.parse(_text(step))
    return value


_BY_TYPE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "str | None": _text,
    "int | None": _integer,
    "bool | None": _boolean,
    "list[str] | None": _steps,
}
_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    field.name: _BY_TYPE[str(field.type)] for field in fields(Overrides)
}
