"""The application: who may ask, which operation it is, what its answer rests on."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from dlt_dbt_cloud.local.api import envelopes, queries, triggers
from dlt_dbt_cloud.local.api.basis import BasisLog, NotServedError
from dlt_dbt_cloud.local.api.endpoints import Endpoints, RefusedError, answer
from dlt_dbt_cloud.local.api.routes import ROUTES, UNSERVED
from dlt_dbt_cloud.local.state.world import World

_API: Final = "/api/v2"
_ACCOUNT: Final = "/accounts/<id:account_id>"
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_CASES: Final = {404: "any.not_found", 405: "any.other_method", 413: "any.too_large"}


class _Id(BaseConverter):
    """An id: a number of 64 bits."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        return int(value)


def create_app(
    world: World, api_token: str, url: str, dbt_version: str, *, strict: bool = False
) -> Flask:
    """Serve a world over the API, to those who know the token.

    A blueprint that is registered later, such as pages for people, decides itself who may see it.
    """
    app = Flask("dlt_dbt_cloud.local", static_folder=None)
    app.url_map.strict_slashes = False  # both forms are served, neither redirects
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = _Id
    basis = BasisLog(strict=strict)
    _check_access(app, basis, api_token, url, world.account_id)
    _answer_errors(app, basis)
    _add_routes(app, Endpoints(world, basis, url, dbt_version))
    return app


def _check_access(app: Flask, basis: BasisLog, api_token: str, url: str, account_id: int) -> None:
    @app.before_request
    def authorize() -> None:
        g.behaviours = ["any"]
        _check_origin(url)
        if request.blueprint is None:
            _authorize(request.headers.get("Authorization", ""), api_token)
        if request.endpoint in ROUTES:
            g.behaviours.append(request.endpoint)
        asked = (request.view_args or {}).pop("account_id", account_id)
        if asked != account_id:
            message = "Access denied: Token is not scoped to account."
            raise RefusedError(403, message, "any.other_account", developer_message=None)

    @app.after_request
    def tell(response: Response) -> Response:
        if request.blueprint is None:
            response.headers.set(*basis.header())
        return response


def _check_origin(url: str) -> None:
    """Refuse what a page of another site makes a browser send."""
    own = {url, url.replace("127.0.0.1", "localhost")}
    if f"http://{request.host}" not in own:
        raise RefusedError(421, f"This server is {url}.", "any.misdirected")
    origin = request.headers.get("Origin", url)
    if request.method not in _SAFE_METHODS and origin not in own:
        raise RefusedError(403, "A page of another origin can't write.", "any.misdirected")


def _authorize(header: str, api_token: str) -> None:
    scheme, _, token = header.partition(" ")
    is_known = hmac.compare_digest(token.strip().encode(), api_token.encode())
    if scheme.lower() not in ("token", "bearer") or not is_known:
        case = "any.wrong_token" if header else "any.no_token"
        raise RefusedError(401, "Invalid token.", case, developer_message=None)


def _answer_errors(app: Flask, basis: BasisLog) -> None:
    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return refuse(error.case, error.body)

    @app.errorhandler(queries.InvalidQueryError)
    def invalid_query(error: queries.InvalidQueryError) -> Response:
        case = error.case if "." in error.case else f"{request.endpoint}.{error.case}"
        if case == "any.unserved_key":
            return refuse(case, envelopes.error(501, f"The local dbt Cloud doesn't {error}."))
        return refuse(case, envelopes.error(400, envelopes.INVALID, str(error)))

    @app.errorhandler(triggers.InvalidTriggerError)
    def invalid_trigger(error: triggers.InvalidTriggerError) -> Response:
        return refuse(error.case, envelopes.error(400, envelopes.INVALID, error.data))

    @app.errorhandler(HTTPException)
    def unserved(error: HTTPException) -> Response:
        code = error.code or 500
        known = {404: envelopes.NOT_FOUND, 500: envelopes.SERVER_ERROR}
        text = known.get(code) or str(error.description)
        return refuse(_CASES.get(code, "any"), envelopes.error(code, text))

    @app.errorhandler(NotServedError)
    def not_served(error: NotServedError) -> Response:
        return answer(envelopes.error(501, str(error)))

    def refuse(case: str, body: Mapping[str, Any]) -> Response:
        g.behaviours = []
        try:
            basis.rests_on(case)
        except NotServedError as e:
            return not_served(e)
        return answer(body)


def _add_routes(app: Flask, endpoints: Endpoints) -> None:
    for name, operation in ROUTES.items():
        method, path = operation.split()
        rule = path.replace("{id}", "<id:number>").replace("{path}", "<path:path>")
        view = getattr(endpoints, name)
        app.add_url_rule(_API + _ACCOUNT + rule, name, view, methods=[method])
    for line in UNSERVED.strip().splitlines():
        method, path, title = line.split(" ", 2)
        path = path.replace("/accounts/{id}", _ACCOUNT, 1)
        rule = re.sub(r"\{id\}", "<id:number>", path)
        app.add_url_rule(_API + rule, title, endpoints.unserved, methods=[method])
