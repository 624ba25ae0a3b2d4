"""The envelope around every answer."""

from __future__ import annotations

from typing import Any, Final

NOT_FOUND: Final = (
    "The requested resource was not found. Please check that you have the proper permissions. "
    "If you are seeing this in error, please contact support!"
)
INVALID: Final = "The request was invalid. Please double check the provided data and try again."
SERVER_ERROR: Final = "There was a server error. Please contact support!"


def success(data: Any, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Envelope an answer. Lists have an `extra`."""
    body = {"status": _status(200, "Success!", ""), "data": data}
    return body if extra is None else {**body, "extra": extra}


def error(
    code: int, user_message: str, data: Any = None, developer_message: str | None = ""
) -> dict[str, Any]:
    """Envelope a refusal. Its `developer_message` is empty or null, it depends on the error."""
    body = {"status": _status(code, user_message, developer_message), "data": data}
    return body if data is None else {**body, "extra": {}, "error_code": None}


def _status(code: int, user_message: str, developer_message: str | None) -> dict[str, Any]:
    return {
        "code": code,
        "is_success": code == 200,  # noqa: PLR2004  # a status code
        "user_message": user_message,
        "developer_message": developer_message,
    }
