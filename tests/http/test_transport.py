"""One request: what is sent, and what becomes of each kind of answer."""

import json
import socket
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.client import RemoteDisconnected
from pathlib import Path

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, ProxyError

from dlt_dbt_cloud import (
    DBTCloudConfiguration,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud._http.responses import connection_exception, envelope_of, retry_after
from dlt_dbt_cloud.client import DBTCloudClientV2
from tests.utils import (
    ACCOUNT,
    RUN_ID,
    SAMPLES,
    TOKEN,
    JumpingIO,
    sample,
    sample_run,
)

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"


@pytest.fixture
def client(config: DBTCloudConfiguration, io: JumpingIO) -> DBTCloudClientV2:
    """A client in virtual time."""
    return DBTCloudClientV2(credentials=config, io=io)


def refused(
    client: DBTCloudClientV2, api: responses.RequestsMock, status: int, name: str
) -> DBTCloudHTTPException:
    """Returns the exception for an answer to a read."""
    api.get(RUN_URL, json=sample(name), status=status)
    with pytest.raises(DBTCloudHTTPException) as caught:
        client.get_run_status(RUN_ID)
    return caught.value


class TestRequest:
    """What goes over the wire."""

    def test_token_and_agent(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A request has the token, dlt's user agent, and a slash at its end."""
        api.get(RUN_URL, json=sample("run_success"))
        client.get_run_status(RUN_ID)
        (call,) = api.calls
        assert call.request.headers["Authorization"] == f"Token {TOKEN}"
        assert call.request.headers["User-Agent"].startswith("dlt/")
        assert call.request.headers["Accept"] == "application/json"

    def test_netrc_does_not_replace_the_token(
        self,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        dlt_world: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A `.netrc` entry for the host does not replace the token, as it would a header."""
        netrc = dlt_world / "netrc"
        netrc.write_text("machine abc12.us1.dbt.com login me password other\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        self.test_token_and_agent(client, api)

    def test_utf8_without_a_charset(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """An answer is UTF-8, also where its type names no charset."""
        body = json.dumps(sample_run("run_success", status_message="✈️ ä"), ensure_ascii=False)
        api.get(RUN_URL, body=body.encode(), content_type="application/json")
        assert client.get_run_status(RUN_ID)["status_message"] == "✈️ ä"


class TestErrorStatus:
    """4xx surface at once, unretried, with the API's own words and a hint at common mistakes."""

    def test_wrong_token_or_region(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """401: the API's message, and that another region does not know the token."""
        error = refused(client, api, 401, "401")
        assert str(error).startswith("dbt Cloud answered 401 Unauthorized to GET https://abc12")
        assert "Invalid token. The host of another region" in str(error)
        assert "Access URLs" in str(error)
        assert len(api.calls) == 1

    def test_wrong_account(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """403: the API's message, and the setting to check."""
        error = refused(client, api, 403, "403")
        assert "Access denied: Token is not scoped to account. Is `account_id`" in str(error)

    def test_missing(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """404: missing and forbidden look the same, and the message says so."""
        error = refused(client, api, 404, "404")
        assert "It does not exist in this account, or the token may not see it." in str(error)

    def test_detail_of_a_400(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """400: the detail in `data` is in the message and on the exception."""
        error = refused(client, api, 400, "400_query")
        assert "double check the provided data" in str(error)
        assert "('created_at__gte', 'created_at__lte' were unexpected)" in str(error)
        assert error.data == sample("400_query")["data"]

    def test_it_is_a_requests_error(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """Code written for dlt's helper goes on to work: `except HTTPError`, `error.response`."""
        error = refused(client, api, 403, "403")
        assert isinstance(error, requests.HTTPError)
        assert error.response is not None
        assert error.response.status_code == error.status_code == 403

    def test_redirect_is_not_followed(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """A redirect is an error that names where it leads: the token is for one host alone."""
        api.get(RUN_URL, status=301, headers={"Location": "https://www.getdbt.com/x"})
        with pytest.raises(
            DBTCloudHTTPException, match=r"redirects to www\.getdbt\.com\. Is `base"
        ):
            client.get_run_status(RUN_ID)
        assert len(api.calls) == 1

    @pytest.mark.parametrize("body", ["null", "[]", '{"status": null}', '"x"', '{"status": []}'])
    def test_error_that_is_no_envelope(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, body: str
    ) -> None:
        """An error body of any shape is shown as it is."""
        api.get(RUN_URL, status=418, body=body)
        with pytest.raises(DBTCloudHTTPException) as caught:
            client.get_run_status(RUN_ID)
        assert f"418 I'm a Teapot to GET {RUN_URL}: {body}" in str(caught.value)

    def test_unknown_status(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A number that HTTP does not know is no crash."""
        api.get(RUN_URL, status=499, body="x" * 5000)
        with pytest.raises(DBTCloudHTTPException, match=r"499 \(unknown status\)") as caught:
            client.get_run_status(RUN_ID)
        assert len(str(caught.value)) < 800


class TestOtherAnswers:
    """Success that is not the API's JSON."""

    def test_html(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """A host that answers HTML says so after a few tries, and names the setting."""
        api.get(RUN_URL, body=(SAMPLES / "login.html").read_text())
        with pytest.raises(DBTCloudResponseException, match="not with the API's JSON") as caught:
            client.get_run_status(RUN_ID)
        assert "dbt | Log in" in str(caught.value)
        assert "Is `base_api_url` the access URL" in str(caught.value)
        assert sum(io.sleeps) <= 10

    @pytest.mark.parametrize("text", ["", "null", "[]", "{}", '"data"', "1"])
    def test_no_envelope(self, text: str) -> None:
        """JSON without `data` is no answer either."""
        with pytest.raises(DBTCloudResponseException):
            envelope_of("u", text)

    @pytest.mark.parametrize("data", [None, [], "x", {}, {"id": None}, {"id": "1"}])
    def test_null_where_a_run_is_expected(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, data: object
    ) -> None:
        """`null`, or anything else that is no run, is an error that shows it."""
        api.get(RUN_URL, json={"status": {"code": 200}, "data": data})
        with pytest.raises(DBTCloudResponseException, match="answered without a run"):
            client.get_run_status(RUN_ID)

    def test_null_where_a_list_is_expected(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """The same for lists, all pages or one."""
        api.get(f"{ACCOUNT}/runs/", json={"status": {"code": 200}, "data": None})
        with pytest.raises(DBTCloudResponseException, match="NoneType instead of a list"):
            list(client.list_runs())
        with pytest.raises(DBTCloudResponseException, match="NoneType instead of a list"):
            client.get_runs()

    def test_html_where_a_list_is_expected(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """A login page is no list, and no lost connection either."""
        api.get(f"{ACCOUNT}/runs/", body=(SAMPLES / "login.html").read_text())
        with pytest.raises(DBTCloudResponseException, match="not with the API's JSON"):
            list(client.list_runs())


class TestTrouble:
    """Reads ride out what passes, for a bounded time."""

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_passes(
        self,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        io: JumpingIO,
        status: int,
    ) -> None:
        """Transient errors are retried until the answer is there."""
        for _ in range(3):
            api.get(RUN_URL, status=status, headers={"Retry-After": "0"})
        api.get(RUN_URL, json=sample("run_success"))
        assert client.get_run_status(RUN_ID).is_success
        assert io.sleeps == [1, 2, 4]

    def test_html_of_a_load_balancer(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, log: pytest.LogCaptureFixture
    ) -> None:
        """A 502 with HTML crashes nothing, and the log tells what is going on."""
        api.get(RUN_URL, status=502, body=(SAMPLES / "502.html").read_text())
        api.get(RUN_URL, json=sample("run_success"))
        assert client.get_run_status(RUN_ID).is_success
        assert "answered 502 Bad Gateway" in log.text
        assert "Retrying in 1 s, for up to" in log.text

    def test_stays(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """An API that stays down is given up on within `outage_timeout`."""
        api.get(RUN_URL, status=503)
        with pytest.raises(DBTCloudHTTPException, match="503"):
            client.get_run_status(RUN_ID)
        assert sum(io.sleeps) == client.outage_timeout

    def test_asked_to_wait(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """`Retry-After` is honoured, and a 429 without it waits out the cooldown of 5 minutes."""
        api.get(RUN_URL, status=429, headers={"Retry-After": "17"})
        api.get(RUN_URL, status=429)
        api.get(RUN_URL, json=sample("run_success"))
        client.get_run_status(RUN_ID)
        assert io.sleeps == [17, 300]

    def test_retry_after_as_a_date(self) -> None:
        """`Retry-After` may be a date, by the clock of the server: ours may be an hour off."""
        headers = {
            "Date": "Tue, 03 Nov 2026 10:00:00 GMT",
            "Retry-After": "Tue, 03 Nov 2026 10:00:50 GMT",
        }
        assert retry_after(503, headers) == 50
        assert retry_after(503, {**headers, "Date": "Tue, 03 Nov 2026 11:00:00 GMT"}) == 0

    def test_retry_after_without_a_date(self) -> None:
        """Without a `Date` our own clock is what there is."""
        later = datetime.now(timezone.utc) + timedelta(seconds=50)
        seconds = retry_after(503, {"Retry-After": format_datetime(later, usegmt=True)})
        assert seconds is not None
        assert 40 < seconds < 55

    @pytest.mark.parametrize(
        "text", ["soon", "-1", "\uff11", "", "nan", "inf", "-5 Jan", "1" * 9 + "x"]
    )
    def test_nonsense_retry_after(self, text: str) -> None:
        """Any other `Retry-After` counts as none."""
        assert retry_after(503, {"Retry-After": text}) is None
        assert retry_after(429, {"Retry-After": text}) == 300

    @given(
        status=st.sampled_from([429, 503]),
        text=st.one_of(
            st.text(),
            st.just("9" * 5000),
            st.sampled_from([f"Tue, 03 Nov {y} 10:00:00 GMT" for y in (1, 1969, 9999, 99999)]),
            st.from_regex(r"(Mon, )?\d{1,3} Jan \d{1,6} \d\d:\d\d:\d\d ([+-]\d{4,9}|GMT)"),
        ),
        date=st.one_of(st.text(), st.just("Tue, 03 Nov 2026 10:00:00 -0000")),
    )
    def test_any_retry_after(self, status: int, text: str, date: str) -> None:
        """Whatever `Retry-After` holds, it becomes a number of seconds up to a day, or None."""
        seconds = retry_after(status, {"Retry-After": text, "Date": date})
        assert seconds is None or 0 <= seconds <= 86_400

    @pytest.mark.parametrize(
        "error", [requests.ConnectionError("reset"), requests.ReadTimeout("slow")]
    )
    def test_dropped(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, error: Exception
    ) -> None:
        """A dropped connection and a read timeout pass, too."""
        api.get(RUN_URL, body=error)
        api.get(RUN_URL, json=sample("run_success"))
        assert client.get_run_status(RUN_ID).is_success

    def test_unknown_host(
        self, client: DBTCloudClientV2, monkeypatch: pytest.MonkeyPatch, io: JumpingIO
    ) -> None:
        """A host with a typo is named at once: waiting would not make it exist."""

        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(DBTCloudConnectionException) as caught:
            client.get_run_status(RUN_ID)
        message = str(caught.value)
        assert "Failed to resolve 'abc12.us1.dbt.com'" in message
        assert "Name or service not known" in message
        assert "Is `base_api_url` the access URL" in message
        assert not io.sleeps

    def test_name_service_down(
        self, client: DBTCloudClientV2, monkeypatch: pytest.MonkeyPatch, io: JumpingIO
    ) -> None:
        """A name service that is down passes."""

        def down(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", down)
        with pytest.raises(DBTCloudConnectionException):
            client.get_run_status(RUN_ID)
        assert io.sleeps

    def test_tunnel_that_broke(self) -> None:
        """What urllib3 takes for a proxy that can't be reached may have carried the request."""
        broken = ProtocolError("aborted", RemoteDisconnected("without response"))
        error = requests.exceptions.ProxyError(ProxyError("Unable to connect to proxy", broken))
        assert connection_exception("POST", "u", error).may_have_acted
        refused = OSError("Tunnel connection failed: 407 Proxy Authentication Required")
        error = requests.exceptions.ProxyError(ProxyError("Unable to connect to proxy", refused))
        assert not connection_exception("POST", "u", error).may_have_acted

    def test_certificate(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """A certificate that is not accepted stays so."""
        text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed"
        api.get(RUN_URL, body=requests.exceptions.SSLError(text))
        with pytest.raises(DBTCloudConnectionException, match="self-signed"):
            client.get_run_status(RUN_ID)
        assert not io.sleeps
