"""The body of a trigger request: read from JSON or a form, and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, Final, NoReturn

from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.state.records import Overrides

if TYPE_CHECKING:
    from werkzeug import Request

CAUSE_MAX_LENGTH: Final = 255
_LARGEST: Final = 2**63 - 1


class InvalidTriggerError(Exception):
    """The body is not one of a trigger.

    Attributes:
        data: The detail of the answer.
        case: The behaviour that the refusal is.
    """

    def __init__(self, data: str | dict[str, str], case: str) -> None:
        super().__init__(data)
        self.data = data
        self.case = case


def read(request: Request) -> tuple[str, Overrides]:
    """Read the cause and the overrides of a trigger. Unknown keys are tolerated.

    Raises:
        InvalidTriggerError: The body doesn't parse, or a value is of the wrong type.
    """
    body = json_object(request) if request.mimetype == "application/json" else _form(request)
    if body.get("cause") is None:
        raise InvalidTriggerError("'cause' is a required property", "trigger.no_cause")
    known = {"cause": _cause, **_CHECKS}
    values = {
        key: _checked(key, check, body[key])
        for key, check in known.items()
        if body.get(key) is not None
    }
    return values.pop("cause"), Overrides(**values)


def json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InvalidTriggerError: The body doesn't parse, or is something else.
    """
    try:
        body = json.loads(request.get_data(), parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise InvalidTriggerError(f"JSON parse error - {e}", "trigger.broken_body") from None
    if not isinstance(body, dict):
        raise InvalidTriggerError(f"{brief(body)} is not of type 'object'", "trigger.broken_body")
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _form(request: Request) -> dict[str, Any]:
    """Read a form, which has but strings: numbers and booleans are made of them."""
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


def _checked(key: str, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except ValueError as e:
        raise InvalidTriggerError({key: str(e)}, "trigger.wrong_value") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{brief(value)} is not of type 'string'")  # noqa: TRY004  # the answer
    if not value:
        raise ValueError("'' is too short")
    if "\0" in value or not _is_encodable(value):
        raise ValueError("Null characters are not allowed, nor surrogates.")
    return value


def _is_encodable(text: str) -> bool:
    return text.encode(errors="replace").decode() == text


def _cause(value: Any) -> str:
    if len(_text(value)) > CAUSE_MAX_LENGTH:
        data = {"cause": f"{brief(value)} is too long"}
        raise InvalidTriggerError(data, "trigger.long_cause")
    return str(value)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{brief(value)} is not of type 'integer'")  # noqa: TRY004  # the answer
    if abs(value) > _LARGEST:
        raise ValueError(f"{brief(value)} is out of range")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{brief(value)} is not of type 'boolean'")  # noqa: TRY004  # the answer
    return value


def _steps(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{brief(value)} is not of type 'array'")  # noqa: TRY004  # the answer
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
