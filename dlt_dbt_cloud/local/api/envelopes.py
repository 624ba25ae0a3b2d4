"""The envelope around every answer, and the words of refusals: jsonschema's, as on dbt Cloud."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from reprlib import repr as brief
from typing import Any, Final

from flask import Response

NOT_FOUND: Final = (
    "The requested resource was not found. Please check that you have the proper permissions. "
    "If you are seeing this in error, please contact support!"
)
INVALID: Final = "The request was invalid. Please double check the provided data and try again."
MESSAGES: Final = {404: NOT_FOUND, 500: "There was a server error. Please contact support!"}


_NO_ACCESS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TYPES: Final = {"array": list, "boolean": bool, "integer": int, "string": str}


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        case: Name of the behaviour. If it has no operation, the one that was called is added.
        body: What the answer says.
    """

    def __init__(self, code: int, user_message: str, case: str, data: Any = None) -> None:
        super().__init__(user_message)
        self.case = case
        self.body = error(code, user_message, data)


def invalid(data: Any, case: str) -> RefusedError:
    """Make the refusal of a request that isn't as it must be."""
    return RefusedError(400, INVALID, case, data)


def typed(value: Any, name: str) -> Any:
    """Returns a value that is of a type of JSON.

    Raises:
        ValueError: It is of another type.
    """
    is_one = isinstance(value, _TYPES[name])
    if not is_one or (name == "integer" and isinstance(value, bool)):
        raise ValueError(f"{brief(value)} is not of type {name!r}")
    return value


def answer(body: Mapping[str, Any]) -> Response:
    """Answer with an envelope, moments as runs have them, `2022-08-31 02:18:57.855152+00:00`."""
    text = json.dumps(body, default=str)
    return Response(text, body["status"]["code"], mimetype="application/json")


def success(data: Any, extra: dict[str, Any] | None = None) -> Response:
    """Answer with data. Lists have an `extra`."""
    body = {"status": _status(200, "Success!"), "data": data}
    return answer(body if extra is None else {**body, "extra": extra})


def error(code: int, user_message: str, data: Any = None) -> dict[str, Any]:
    """Put a refusal into an envelope."""
    body = {"status": _status(code, user_message), "data": data}
    return body if data is None else {**body, "extra": {}, "error_code": None}


def _status(code: int, user_message: str) -> dict[str, Any]:
    return {
        "code": code,
        "is_success": code == HTTPStatus.OK,
        "user_message": user_message,
        "developer_message": None if code in _NO_ACCESS else "",
    }
