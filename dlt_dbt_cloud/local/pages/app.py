"""The pages: rendered here, updated by a small script, and complete without it."""

import hmac
import json
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, send_from_directory
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.test import Client
from werkzeug.wrappers import Response as AnyResponse

from dlt_dbt_cloud._io import Blocking
from dlt_dbt_cloud._io import run as run_program
from dlt_dbt_cloud._report import RELATED, read_nodes
from dlt_dbt_cloud.exceptions import DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun, wording
from dlt_dbt_cloud.run.html import STYLE_SHEET, body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PATHS: Final = ("/deploy/", "/pages/")
"""Where pages are, beside `/`. All else is the API's."""
FILES: Final = Path(__file__).parent / "static"
RUNS: Final = 30
"""Number of runs that the first page shows."""
CAUSE: Final = "Run from the page of the local dbt Cloud"


class InnerApi:
    """Calls the API of the same local dbt Cloud in the process: pages know what clients know."""

    def __init__(self, api: "WSGIApplication", url: str, api_token: str, account_id: str) -> None:
        self._client = Client(api)
        self._url = url
        self._headers = {"Authorization": f"Token {api_token}"}
        self._root = f"/api/v2/accounts/{account_id}"

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the jobs."""
        return list(self._data("/jobs/"))

    def runs(self) -> Iterator[DBTCloudRun]:
        """Yields the last runs, the newest first."""
        related = '["trigger", "job"]'
        runs = self._data("/runs/", order_by="-id", limit=RUNS, include_related=related)
        return map(DBTCloudRun, runs)

    def run(self, run_id: int) -> DBTCloudRun:
        """Returns a run, with its nodes once it has finished."""
        found = DBTCloudRun(self._data(f"/runs/{run_id}/", include_related=json.dumps(RELATED)))
        if found.is_complete:
            run_program(read_nodes(Blocking(), self, found, iter(())))
        return found

    def trigger(self, job_id: int) -> DBTCloudRun:
        """Triggers a job."""
        return DBTCloudRun(self._data(f"/jobs/{job_id}/run/", "POST", {"cause": CAUSE}))

    def cancel(self, run_id: int) -> None:
        """Cancels a run."""
        self._data(f"/runs/{run_id}/cancel/", "POST")

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact, as `RunsApi` does."""
        return json.loads(self._text(f"/runs/{run_id}/artifacts/{path}", step=step))

    def _data(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> Any:
        return json.loads(self._text(path, method, body, **query))["data"]

    def _text(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> str:
        query = {name: value for name, value in query.items() if value is not None}
        answer = self._client.open(
            self._root + path,
            base_url=self._url,
            method=method,
            json=body,
            query_string=query,
            headers=self._headers,
        )
        if answer.status_code != HTTPStatus.OK:
            raise DBTCloudHTTPException(answer.status, url=path, status_code=answer.status_code)
        return answer.get_data(as_text=True)


class Pages:
    """The views of what an API tells."""

    def __init__(self, api: InnerApi) -> None:
        self._api = api
        self._form_token = secrets.token_urlsafe()

    def check(self) -> None:
        """Refuses forms of other sites."""
        sent = request.form.get("form_token", "")
        if request.method == "POST" and not hmac.compare_digest(
            sent.encode(), self._form_token.encode()
        ):
            abort(HTTPStatus.FORBIDDEN, "The form is out of date. Go back, reload it, try again.")

    def index(self) -> str:
        """Shows the jobs and the last runs."""
        jobs, runs = self._api.jobs(), list(self._api.runs())
        return self._page("index.html", jobs=jobs, runs=runs, wording=wording, is_live=True)

    def run(self, _account: int, _project: int, run_id: int) -> str:
        """Shows a run."""
        run = self._api.run(run_id)
        parts = Markup("".join(body(run, has_link=False)))  # noqa: S704  # escaped there
        return self._page("run.html", run=run, parts=parts, is_live=run.in_progress)

    def trigger(self, job_id: int) -> AnyResponse:
        """Runs a job, and leads to its run."""
        run = self._api.trigger(job_id)
        return redirect(urlsplit(run.url).path, HTTPStatus.SEE_OTHER)

    def cancel(self, run_id: int) -> AnyResponse:
        """Cancels a run, and leads back to it."""
        self._api.cancel(run_id)
        return redirect(urlsplit(self._api.run(run_id).url).path, HTTPStatus.SEE_OTHER)

    def file(self, name: str) -> AnyResponse:
        """Sends a style sheet or the script."""
        if name == "page.css":
            return send_from_directory(STYLE_SHEET.parent, STYLE_SHEET.name)
        return send_from_directory(FILES, name)

    def refused(self, error: HTTPException) -> tuple[str, int]:
        """Shows why a request is refused."""
        code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        return self._page("refused.html", message=error.description), code

    def not_found(self, _: DBTCloudHTTPException) -> tuple[str, int]:
        """Shows that there is no such job or run."""
        message = "There is no such job or run. It may be one of an earlier local dbt Cloud."
        return self._page("refused.html", message=message), HTTPStatus.NOT_FOUND

    def _page(self, template: str, **values: Any) -> str:
        return render_template(template, form_token=self._form_token, **values)


def with_pages(
    api: "WSGIApplication", url: str, api_token: str, account_id: str
) -> "WSGIApplication":
    """Returns an application that answers for the API and for the pages."""
    pages = create_app(InnerApi(api, url, api_token, account_id)).wsgi_app

    def either(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "")
        is_page = path == "/" or path.startswith(PATHS)
        return (pages if is_page else api)(environ, start_response)

    return either


def create_app(api: InnerApi) -> Flask:
    """Returns the pages over an API."""
    app = Flask("dlt_dbt_cloud.local.pages", static_folder=None)
    views = Pages(api)
    app.before_request(views.check)
    app.after_request(_protected)
    app.register_error_handler(HTTPException, views.refused)
    app.register_error_handler(DBTCloudHTTPException, views.not_found)
    for path, view in (
        ("/", views.index),
        ("/deploy/<int:_account>/projects/<int:_project>/runs/<int:run_id>/", views.run),
        ("/pages/files/<name>", views.file),
    ):
        app.add_url_rule(path, view.__name__, view)
    app.add_url_rule("/pages/jobs/<int:job_id>/run", "trigger", views.trigger, methods=["POST"])
    app.add_url_rule("/pages/runs/<int:run_id>/cancel", "cancel", views.cancel, methods=["POST"])
    return app


def _protected(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response
