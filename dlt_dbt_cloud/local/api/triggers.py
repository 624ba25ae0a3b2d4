"""The body of a trigger request: read from JSON or a form, and checked."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from reprlib import repr as brief
from typing import Any, Final, NoReturn

from werkzeug import Request

from dlt_dbt_cloud.local.api.envelopes import invalid, typed
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.state.records import Overrides

CAUSE_MAX_LENGTH: Final = 255
_LARGEST: Final = 2**63 - 1


def read(request: Request) -> tuple[str, Overrides]:
    """Read the cause and the overrides of a trigger. Unknown keys are tolerated.

    Raises:
        RefusedError: The body doesn't parse, or a value is of the wrong type.
    """
    body = json_object(request) if request.mimetype == "application/json" else _form(request)
    if body.get("cause") is None:
        raise invalid("'cause' is a required property", "trigger.no_cause")
    values = {key: _checked(key, body[key]) for key in _CHECKS if body.get(key) is not None}
    return values.pop("cause"), Overrides(**values)


def json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RefusedError: The body doesn't parse, or is something else.
    """
    try:
        body = json.loads(request.get_data(), parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise invalid(f"JSON parse error - {e}", "trigger.broken_body") from None
    if not isinstance(body, dict):
        raise invalid(f"{brief(body)} is not of type 'object'", "trigger.broken_body")
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _form(request: Request) -> dict[str, Any]:
    """Read a form, which has only strings: numbers and booleans are made of them."""
    values: dict[str, Any] = {key: _from_text(key, value) for key, value in request.form.items()}
    if "steps_override" in request.form:
        values["steps_override"] = request.form.getlist("steps_override")
    return values


def _from_text(key: str, text: str) -> Any:
    if _CHECKS.get(key) is _integer and re.fullmatch("-?[0-9]{1,19}", text):
        return int(text)
    if _CHECKS.get(key) is _boolean:
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _checked(key: str, value: Any) -> Any:
    try:
        return _CHECKS[key](value)
    except ValueError as e:
        raise invalid({key: str(e)}, "trigger.wrong_value") from None


def _text(value: Any) -> str:
    text = str(typed(value, "string"))
    if not text:
        raise ValueError("'' is too short")
    if "\0" in text or text.encode(errors="replace").decode() != text:
        raise ValueError("Null characters are not allowed, nor surrogates.")
    return text


def _cause(value: Any) -> str:
    text = _text(value)
    if len(text) > CAUSE_MAX_LENGTH:
        raise invalid({"cause": f"{brief(value)} is too long"}, "trigger.long_cause")
    return text


def _integer(value: Any) -> int:
    if abs(typed(value, "integer")) > _LARGEST:
        raise ValueError(f"{brief(value)} is out of range")
    return int(value)


def _boolean(value: Any) -> bool:
    return bool(typed(value, "boolean"))


def _steps(value: Any) -> list[str]:
    steps = [_text(step) for step in typed(value, "array")]
    for step in steps:
        Command.parse(step)
    return steps


_BY_TYPE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "str | None": _text,
    "int | None": _integer,
    "bool | None": _boolean,
    "list[str] | None": _steps,
}
_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "cause": _cause,
    **{field.name: _BY_TYPE[str(field.type)] for field in fields(Overrides)},
}
