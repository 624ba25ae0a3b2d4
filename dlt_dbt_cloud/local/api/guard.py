"""Who may ask at all: programs and people on this machine, but no page of another site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from dlt_dbt_cloud.local.api import envelopes
from dlt_dbt_cloud.local.api.behaviours import BY_NAME

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Serves an application to those who ask for it by its own name, which is in its URL."""

    def __init__(self, app: WSGIApplication, url: str) -> None:
        self._app = app
        port = url.rpartition(":")[2]
        self._own = {url, f"http://127.0.0.1:{port}", f"http://localhost:{port}"}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return (self._refusal(environ) or self._app)(environ, start_response)

    def _refusal(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        if f"http://{environ.get('HTTP_HOST')}" not in self._own:
            return _refuse(421, f"This server is {' or '.join(sorted(self._own))}.")
        writes = environ["REQUEST_METHOD"] not in _SAFE_METHODS
        if writes and environ.get("HTTP_ORIGIN", min(self._own)) not in self._own:
            return _refuse(403, "A page of another origin can't write.")
        return None


def _refuse(code: int, message: str) -> WSGIApplication:
    refusal = envelopes.answer(envelopes.error(code, message))
    refusal.headers.set(*BY_NAME["any.misdirected"].header)
    return refusal
