"""The token is shown nowhere, however a server echoes it."""

import base64
import html
import json
import logging
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dlt
import pytest
import responses
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudException,
    get_dbt_cloud_run_status,
    run_dbt_cloud_job,
    wait_for_dbt_cloud_runs,
)
from dlt_dbt_cloud._http.redaction import MASK, pattern_of
from dlt_dbt_cloud._http.responses import MAX_ERROR
from dlt_dbt_cloud._http.transport import TokenAuth
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.http.wire import WireServer, envelope, http, sends
from tests.utils import ACCOUNT, RUN_ID, configured, sample_run

TOKEN = "dbtc_5eCrEt+T0k/n<0>&'1\"2=3\\4_end"
"""A token of all that an encoding may change. dbt Cloud's are letters, digits, `_` and `-`."""


def encoded(text: str) -> dict[str, str]:
    """Returns a text as servers echo it."""
    data = text.encode()
    return {
        "plain": text,
        "url": quote(text),
        "url, all escaped": quote(text, safe=""),
        "url, lower case": quote(text, safe="").replace("%2F", "%2f").replace("%3C", "%3c"),
        "url, twice": quote(quote(text, safe=""), safe=""),
        "url, every character": "".join(f"%{byte:02x}" for byte in data),
        "html": html.escape(text),
        "html, twice": html.escape(html.escape(text)),
        "html, every character": "".join(f"&#{byte};" for byte in data),
        "html, hexadecimal": "".join(f"&#x{byte:X};" for byte in data),
        "json": json.dumps(text),
        "json, twice": json.dumps(json.dumps(text)),
        "json, slashes": json.dumps(text).replace("/", "\\/"),
        "json, every character": "".join(f"\\u{byte:04x}" for byte in data),
        "json of html": json.dumps(html.escape(text)),
        "python": repr(text.encode()),
        "base64": base64.b64encode(data).decode(),
        "base64 of a header": base64.b64encode(b"Token " + data).decode(),
        "base64 of user and password": base64.b64encode(b"user:" + data + b":").decode(),
        "base64 for a url": base64.urlsafe_b64encode(b"x" + data).decode(),
        "base64 in a url": quote(base64.b64encode(data + b"?").decode(), safe=""),
    }


SPELLINGS = encoded(TOKEN)


def secrets_in(shown: str, token: str = TOKEN) -> list[str]:
    """Returns the encodings of the token, or of most of it, that a text contains."""
    middle = {name: text.strip("\"'=b")[4:-6] for name, text in encoded(token).items()}
    return [name for name, text in middle.items() if text in shown]


class TestPattern:
    """The pattern of the token."""

    @pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
    def test_spellings(self, spelling: str) -> None:
        """Each encoding of the token is found within a text."""
        shown = pattern_of(TOKEN).sub(MASK, f"a {spelling} b")
        assert MASK in shown
        assert not secrets_in(shown)

    @given(
        token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12),
        around=st.tuples(st.text(), st.text()),
    )
    def test_any_token(self, token: str, around: tuple[str, str]) -> None:
        """Of any token, each encoding is found wherever it stands."""
        pattern = pattern_of(token)
        for spelling in encoded(token).values():
            assert pattern.search(f"{around[0]}{spelling}{around[1]}"), spelling

    def test_short(self) -> None:
        """What is too short to be a token is left alone: it is part of ordinary words."""
        assert pattern_of("true").sub(MASK, "it is true") == "it is true"

    def test_linear(self) -> None:
        """A text made to slow the search down does not."""
        started = time.process_time()
        for part in ("dbtc_5eCrEt", "%25" * 9, "&amp;" * 9, "\\" * 9, "ZGJ0"):
            assert pattern_of(TOKEN).search(part * 20_000) is None
        assert time.process_time() - started < 5


def in_error(text: str) -> bytes:
    """Echoes in an error of the API."""
    return http(json.dumps({"status": {"user_message": text}, "data": {"a": [text]}}), "400 No")


def in_page(text: str) -> bytes:
    """Echoes in a page of a proxy."""
    return http(f"<p>{text}</p>", "502 Bad")


def in_success(text: str) -> bytes:
    """Echoes in a success that is no run."""
    return http(f"{{{text}")


def in_run(text: str) -> bytes:
    """Echoes in a field of a run that has failed."""
    changes = {"id": 1, "status_message": text, "trigger": {"cause": text}, "href": text}
    return http(json.dumps(sample_run("run_error", **changes)))


def in_reason(text: str) -> bytes:
    """Echoes in the words after the status."""
    return http("", f"403 {text}")


def in_location(text: str) -> bytes:
    """Echoes in a redirect."""
    return http("", "302 Found", f"Location: https://{text}/?token={text}")


def in_header(text: str) -> bytes:
    """Echoes in headers, good and malformed ones."""
    return http("", "429 Slow", f"X-Echo: {text}", f"Retry-After: {text}", f"Authorization {text}")


def in_status_line(text: str) -> bytes:
    """Echoes instead of a status line."""
    return f"{text}\r\n\r\n".encode()


PLACES: list[Callable[[str], bytes]] = [
    *(in_error, in_page, in_success, in_run),
    *(in_reason, in_location, in_header, in_status_line),
]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All log records, of every level and logger."""
    names = [None, "dlt", "dlt.dbt_cloud", "urllib3"]
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name)
        logging.getLogger(name).addHandler(caplog.handler)
    yield caplog
    for name in names:
        logging.getLogger(name).removeHandler(caplog.handler)


def everything(error: BaseException) -> str:
    """Returns all that an exception holds, as reporters show it."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    lines = [line for line in report.format() if "/tests/" not in line]
    parts = [str(error), repr(error), repr(vars(error)), "".join(lines), repr(pickle.dumps(error))]
    response = getattr(error, "response", None)
    if response is not None:
        parts += [response.text, repr(vars(response)), repr(vars(response.request))]
    return "\n".join(parts)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("place", PLACES)
def test_echo(
    place: Callable[[str], bytes], spelling: str, records: pytest.LogCaptureFixture
) -> None:
    """No record, message, attribute, pickle, traceback with locals or run contains the token."""
    with WireServer(sends(place(spelling))) as server:
        config = configured(base_api_url=server.url, api_token=TOKEN, account_id="5")
        client = DBTCloudClientV2(credentials=config, outage_timeout=0)
        shown = [repr(client)]
        try:
            run = client.get_run_status(1)
            shown += [repr(run), repr(pickle.dumps(run)), repr(client.get_endpoint("x"))]
            run.raise_on_failure()
        except DBTCloudException as error:
            shown += [everything(error)]
    shown += [f"{record.getMessage()} {record.exc_text}" for record in records.records]
    assert len(shown) > 1
    assert not secrets_in("\n".join(shown))


def test_echo_across_the_bound() -> None:
    """An error that is cut where it echoes the token shows no part of it."""
    body = "x" * (MAX_ERROR - 12) + TOKEN + "x" * 2**17
    with WireServer(sends(http(body, "502 Bad"))) as server:
        config = configured(base_api_url=server.url, api_token=TOKEN)
        with pytest.raises(DBTCloudException) as caught:
            DBTCloudClientV2(credentials=config, outage_timeout=0).get_run_status(1)
    assert TOKEN[:8] not in everything(caught.value)


def test_echo_in_a_file() -> None:
    """A text of the run that echoes it comes without it."""
    with WireServer(sends(http(f"select '{TOKEN}'"))) as server:
        config = configured(base_api_url=server.url, api_token=TOKEN)
        client = DBTCloudClientV2(credentials=config)
        assert client.get_artifact(1, "a.sql") == f"select '{MASK}'"


CALLS: list[Callable[[DBTCloudConfiguration], Any]] = [
    run_dbt_cloud_job,
    get_dbt_cloud_run_status,
    lambda config: wait_for_dbt_cloud_runs([1], config),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", PLACES)
def test_echo_in_a_call(
    call: Callable[[DBTCloudConfiguration], Any],
    place: Callable[[str], bytes],
    records: pytest.LogCaptureFixture,
) -> None:
    """Nothing that a call logs or raises contains the token, nor do the variables of its frames."""
    with WireServer(sends(place(quote(TOKEN)))) as server:
        config = configured(
            base_api_url=server.url,
            api_token=TOKEN,
            run_id="1",
            outage_timeout=0,
            wait_timeout=0,
            raise_on_failure=True,
        )
        with pytest.raises(DBTCloudException) as caught:
            call(config)
    shown = [everything(caught.value), repr(config), str(config)]
    shown += [f"{record.getMessage()} {record.exc_text}" for record in records.records]
    assert not secrets_in("\n".join(shown))


def test_echo_in_a_pipeline(dlt_world: Path) -> None:
    """No table, trace, state or other file of a pipeline contains the token."""
    step = {"index": 1, "name": f"Invoke dbt with `dbt build {TOKEN}`", "status": 20}
    changes = {"id": 1, "status_message": TOKEN, "href": TOKEN, "run_steps": [step]}
    answers = {b"/runs/1/ ": envelope(sample_run("run_error_related", **changes)["data"])}

    def echo(connection: socket.socket) -> None:
        line = server.requests[-1].partition(b"\r\n")[0] + b" "
        found = [answer for part, answer in answers.items() if part in line]
        connection.sendall([*found, in_error(quote(TOKEN))][0])

    pipeline = dlt.pipeline("echo", destination="duckdb", pipelines_dir=str(dlt_world))
    with WireServer(echo) as server:
        config = configured(base_api_url=server.url, api_token=TOKEN, outage_timeout=0)
        answers[b"/runs/?limit=1"] = envelope([])
        answers[b"?include_related"] = answers[b"/runs/1/ "]
        pipeline.run(dbt_cloud_source({"id": 1}, config)).raise_on_failed_jobs()
        answers.clear()
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(dbt_cloud_source(credentials=config, all_jobs=True))
    assert pipeline.last_trace
    trace = pipeline.last_trace.asdict()
    shown = [everything(caught.value), repr(trace), json.dumps(trace, default=str)]
    with pipeline.sql_client() as sql:
        rows = sql.execute_sql("select status_message, url, load_error from dbt_cloud_runs")
    assert str(rows).count(MASK) >= 3
    files = [path.read_bytes() for path in dlt_world.rglob("*") if path.is_file()]
    shown += [str(rows), *(content.decode("utf-8", errors="replace") for content in files)]
    assert len(shown) > 10
    assert not secrets_in("\n".join(shown))


def test_interrupt(api: responses.RequestsMock) -> None:
    """Ctrl-C within a request shows no frame that holds the token."""

    def interrupt(request: Any) -> Any:
        secret = request.headers["Authorization"]
        raise KeyboardInterrupt(len(secret))

    api.add_callback(responses.GET, f"{ACCOUNT}/runs/{RUN_ID}/", interrupt)
    client = DBTCloudClientV2(credentials=configured(api_token=TOKEN), outage_timeout=0)
    with pytest.raises(KeyboardInterrupt) as caught:
        client.get_run_status(RUN_ID)
    shown = everything(caught.value)
    assert "in _exchange" in shown
    assert not secrets_in(shown)


def test_not_pickled() -> None:
    """A client is not pickled: its token would be in the file."""
    for part in (TokenAuth(TOKEN), DBTCloudClientV2(TOKEN, 1)):
        with pytest.raises(TypeError, match="it holds the token"):
            pickle.dumps(part)
