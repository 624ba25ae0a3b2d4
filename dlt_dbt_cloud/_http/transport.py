"""HTTP to the API: session, authentication, pages, and riding out trouble that passes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from requests.auth import AuthBase

from dlt_dbt_cloud._http.responses import (
    check_page,
    connection_exception,
    decode_envelope,
    http_exception,
    text_of,
)
from dlt_dbt_cloud.configuration import is_loopback
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.timing import Timer, ride_out

R = TypeVar("R")

JSON: Final = "application/json"


class TokenAuth(AuthBase):
    """Sends the token. Unlike a header, an `AuthBase` is not replaced by one from `.netrc`."""

    def __init__(self, api_token: str) -> None:
        self._api_token = api_token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header to a request that is about to be sent."""
        request.headers["Authorization"] = f"Token {self._api_token}"
        return request

    def redact(self, text: str) -> str:
        """Returns the text without the token, which a server may echo."""
        return text.replace(self._api_token, "[api_token]")


class Transport:
    """Requests to one host with one token.

    Args:
        api_token: The token.
        base_url: `https://HOST/api/v2`.
        outage_timeout: How long reads ride out an API that is down, in seconds.
        timer: Clock and sleep.
    """

    def __init__(
        self, api_token: str, base_url: str, *, outage_timeout: float, timer: Timer
    ) -> None:
        self.base_url = base_url
        self.outage_timeout = outage_timeout
        self.timer = timer
        self._auth = TokenAuth(api_token)
        # A proxy would see what is sent over plain HTTP.
        trust_env = not is_loopback(urlsplit(base_url).hostname or "")
        # dlt's client would send a trigger again after a 502: it is left one attempt.
        self._client = Client(
            raise_for_status=False,
            request_max_attempts=1,
            session_attrs={
                "auth": self._auth,
                "trust_env": trust_env,
                "hooks": {"response": [self._check_status]},
            },
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Reads, and rides out trouble that passes. Returns the API's envelope."""
        return self._ride_out(lambda: self.send("GET", path, params=params))

    def get_text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Reads a file, and rides out trouble that passes."""
        return self._ride_out(lambda: self._exchange("GET", path, params=params, accept="*/*"))

    def get_pages(self, path: str, params: Mapping[str, Any], limit: int) -> Iterator[list[Any]]:
        """Yields the pages of a list, each read when it is needed, and rides out trouble.

        Args:
            path: A list of the API.
            params: Its filters.
            limit: Items of a page at most.
        """
        client = RESTClient(self.base_url, data_selector="data", session=self._client.session)
        paginator = ArrivedPaginator(limit)

        def page() -> list[Any]:
            # dlt's generator ends with an error, so that each page gets one of its own.
            pages = client.paginate(
                path,
                params=dict(params),
                paginator=paginator,
                headers={"Accept": JSON},
                hooks={"response": [self._check_status, self._check_page]},
                allow_redirects=False,
            )
            return next(pages)

        while paginator.has_next_page:
            yield self._ride_out(lambda: self._attempt("GET", path, page))

    def send(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Makes one request, once. Returns the API's envelope: `status`, `data`, maybe `extra`.

        Raises:
            DBTCloudAPIException: If there is no usable answer.
        """
        text = self._exchange(method, path, **kwargs)
        return decode_envelope(self._url(path), text, self._auth.redact)

    def _url(self, path: str) -> str:
        return f"{self.base_url}/{path}"

    def _ride_out(self, call: Callable[[], R]) -> R:
        return ride_out(call, self.timer, self.timer.now() + self.outage_timeout)

    def _exchange(self, method: str, path: str, *, accept: str = JSON, **kwargs: Any) -> str:
        headers = {"Accept": accept}

        def request() -> requests.Response:
            return self._client.request(
                method, self._url(path), headers=headers, allow_redirects=False, **kwargs
            )

        return text_of(self._attempt(method, path, request))

    def _attempt(self, method: str, path: str, request: Callable[[], R]) -> R:
        """Makes a request, once. What goes wrong with it becomes an exception of ours."""
        try:
            return request()
        except DBTCloudAPIException:  # of the check below
            raise
        except requests.RequestException as error:
            failure = connection_exception(method, self._url(path), error)
        # Not from within `except`: the error's request and frames hold the token.
        raise failure

    def _check_status(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Refuses what is no success. A hook: requests calls it with each answer."""
        if response.ok and not response.is_redirect:
            return
        request = response.request
        request.headers.pop("Authorization", None)
        text = self._auth.redact(text_of(response))
        url = str(request.url).partition("?")[0]
        failure = http_exception(
            str(request.method), url, response.status_code, response.headers, text
        )
        failure.request, failure.response = request, response
        raise failure

    def _check_page(self, response: requests.Response, *_: Any, **__: Any) -> None:
        url = str(response.url).partition("?")[0]
        check_page(url, decode_envelope(url, text_of(response), self._auth.redact))


class ArrivedPaginator(OffsetPaginator):
    """Asks for the page after the items that have arrived.

    dlt's own goes on after those that were asked for, and skips items where pages are shorter.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit, total_path="extra.pagination.total_count")

    def init_request(self, request: requests.Request) -> None:
        """Asks for the first page, or goes on where a page was read before."""
        self.update_request(request)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        """Counts what has arrived."""
        self.value_step = len(data or [])
        super().update_state(response, data)
