"""The application: who may ask, which operation it is, what its answer rests on.

Only those who know the token may ask: programs and people on this machine, but no page of another
site.
"""

import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from dlt_dbt_cloud.local.api import envelopes
from dlt_dbt_cloud.local.api.behaviours import BY_NAME, BasisLog, weakest
from dlt_dbt_cloud.local.api.endpoints import Endpoints
from dlt_dbt_cloud.local.api.envelopes import RefusedError
from dlt_dbt_cloud.local.api.routes import find
from dlt_dbt_cloud.local.state.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_API: Final = "/api/v2"
_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_CASES: Final = {404: "any.not_found", 405: "any.other_method", 413: "any.too_large"}
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


def create_app(
    world: World, api_token: str, url: str, dbt_version: str, *, strict: bool = False
) -> Flask:
    """Serve a world over the API, to those who know the token."""
    app = Flask("dlt_dbt_cloud.local", static_folder=None)
    app.url_map.merge_slashes = False
    basis = BasisLog(strict=strict)
    _check_access(app, api_token)
    _answer_errors(app, basis)

    # One rule for all operations: werkzeug takes a millisecond to compile each.
    @app.route(f"{_API}/<path:_>", methods=_METHODS, provide_automatic_options=False)
    def serve(_: str) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation, ids = find(method, request.path.removeprefix(_API))
        if operation.is_of_account and ids.pop(0) != world.account_id:
            message = "Access denied: Token is not scoped to account."
            raise RefusedError(403, message, "any.other_account")
        if not operation.is_served:
            message = f"The local dbt Cloud doesn't serve {operation.name!r}."
            raise RefusedError(501, message, "any.unserved")
        g.endpoint = operation.name
        g.behaviours.append(operation.name)
        endpoints = Endpoints(world, basis, url, dbt_version, operation)
        served: Response = getattr(endpoints, operation.name)(*ids)
        return served

    return app


def _check_access(app: Flask, api_token: str) -> None:
    @app.before_request
    def authorize() -> None:
        g.behaviours = ["any"]
        header = request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        is_known = hmac.compare_digest(token.strip().encode(), api_token.encode())
        if scheme.lower() not in ("token", "bearer") or not is_known:
            case = "any.wrong_token" if header else "any.no_token"
            raise RefusedError(401, "Invalid token.", case)

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers.set(*weakest(g.behaviours).header)
        return response


def _answer_errors(app: Flask, basis: BasisLog) -> None:
    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        g.behaviours = []
        try:
            basis.rests_on(error.case if "." in error.case else f"{g.endpoint}.{error.case}")
        except RefusedError as strict:
            error = strict
        return envelopes.answer(error.body)

    @app.errorhandler(HTTPException)
    def unserved(error: HTTPException) -> Response:
        code = error.code or 500
        text = envelopes.MESSAGES.get(code) or str(error.description)
        return refused(RefusedError(code, text, _CASES.get(code, "any")))


class Guard:
    """Serves an application to those who ask for it by its own name, which is in its URL."""

    def __init__(self, app: "WSGIApplication", url: str) -> None:
        self._app = app
        port = url.rpartition(":")[2]
        self._own = {url, f"http://127.0.0.1:{port}", f"http://localhost:{port}"}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        return (self._refusal(environ) or self._app)(environ, start_response)

    def _refusal(self, environ: "WSGIEnvironment") -> "WSGIApplication | None":
        if f"http://{environ.get('HTTP_HOST')}" not in self._own:
            return _refuse(421, f"This server is {' or '.join(sorted(self._own))}.")
        writes = environ["REQUEST_METHOD"] not in _SAFE_METHODS
        if writes and environ.get("HTTP_ORIGIN", min(self._own)) not in self._own:
            return _refuse(403, "A page of another origin can't write.")
        return None


def _refuse(code: int, message: str) -> "WSGIApplication":
    refusal = envelopes.answer(envelopes.error(code, message))
    refusal.headers.set(*BY_NAME["any.misdirected"].header)
    return refusal
