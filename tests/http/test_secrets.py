"""The token is shown nowhere, whatever happens."""

import io
import logging
import traceback
from typing import Any

import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudClientV2
from dlt_dbt_cloud._follow.watch import run_job
from tests.utils import ACCOUNT, JOB_ID, RUN_ID, TOKEN, JumpingTimer, configured, sample

ECHO = f'{{"status": {{"user_message": "bad Token {TOKEN}"}}, "data": "{TOKEN}"}}'
BODIES = [
    *(sample(name) for name in ("trigger", "run_error_related", "run_success", "runs", "404")),
    None,
]
Answer = Exception | tuple[int, Any]
answer: st.SearchStrategy[Answer] = st.one_of(
    st.tuples(st.sampled_from([200, 301, 400, 401, 404, 429, 500, 502]), st.sampled_from(BODIES)),
    st.tuples(st.sampled_from([200, 302, 400, 403, 503]), st.just(ECHO)),
    st.sampled_from(
        [
            requests.ConnectionError(f"reset {'by peer'}"),
            requests.ReadTimeout("slow"),
            requests.exceptions.ChunkedEncodingError("cut"),
        ]
    ),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
@given(answers=st.lists(answer, min_size=1, max_size=6), follow=answer)
def test_token_is_never_shown(answers: list[Answer], follow: Answer) -> None:
    """No log record of any level or logger, message, repr or traceback contains the token."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = [logging.getLogger(), logging.getLogger("dlt"), logging.getLogger("urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        stream.write(outcome([*answers, follow]))
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
    assert TOKEN not in stream.getvalue()


def outcome(answers: list[Answer]) -> str:
    """Runs a job against these answers, and returns all that a user may get to see."""
    config = configured(retry_failed=1, cancel_on_abort=True, wait_timeout=300)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as api:
        for url in (f"runs/{RUN_ID}/", "runs/", f"jobs/{JOB_ID}/run/", "runs/78614274/"):
            for given_answer in answers:
                play(api, f"{ACCOUNT}/{url}", given_answer)
        client = DBTCloudClientV2(credentials=config, timer=JumpingTimer())
        shown = f"{client!r} {config!r} {config}"
        try:
            run = run_job(client, config)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at
            report = traceback.TracebackException.from_exception(error, capture_locals=False)
            return shown + "".join(report.format()) + repr(error)
    return f"{shown} {run!s}"


def play(api: responses.RequestsMock, url: str, given_answer: Answer) -> None:
    """Has the API answer in one way, to a read and to a trigger alike."""
    for method in (responses.GET, responses.POST):
        if isinstance(given_answer, Exception):
            api.add(method, url, body=given_answer)
        elif isinstance(given_answer[1], str):
            api.add(method, url, status=given_answer[0], body=given_answer[1])
        else:
            api.add(method, url, status=given_answer[0], json=given_answer[1])
