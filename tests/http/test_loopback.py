"""The laws of trigger and wait over real sockets, against the local dbt Cloud and plain servers."""

import socket
from collections.abc import Iterator

import pytest

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudResponseException,
    DBTCloudTriggerOutcomeUnknownException,
    get_dbt_cloud_run_status,
)
from dlt_dbt_cloud._call import follow_run, run_job
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud.local import Fault, LocalDBTCloud, ScriptedJob
from tests.http.wire import WireServer, envelope, http, sends
from tests.utils import SAMPLES, TOKEN, JumpingIO, configured, sample_run

FAULTS = {
    "drop": Fault.commit_then_drop(),
    "bad gateway": Fault.commit_then_answer(502),
    "page": Fault.commit_then_answer(200),
    "stall": Fault.slow(0.3),
}
LISTS, READS = "/runs/$", "/runs/[0-9]+/$"


@pytest.fixture
def cloud() -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with one job."""
    with LocalDBTCloud(jobs=[ScriptedJob()]) as cloud:
        yield cloud


@pytest.fixture
def settings(cloud: LocalDBTCloud) -> DBTCloudConfiguration:
    """Settings of a client of it that waits 0.15 s for an answer."""
    return configured(**cloud.settings(), request_timeout=0.15, outage_timeout=60)


def triggers(cloud: LocalDBTCloud) -> int:
    """Returns how many runs were created."""
    return sum(request.method == "POST" for request in cloud.requests)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
class TestFaults:
    """Faults of the network, as they come out of sockets."""

    def test_whole_journey(
        self, fault: Fault, cloud: LocalDBTCloud, settings: DBTCloudConfiguration, io: JumpingIO
    ) -> None:
        """With the same fault at every turn: one run, watched to its end."""
        cloud.fail_next(fault, "/run/$")
        cloud.fail_next(fault, LISTS)
        cloud.fail_next(fault, READS, times=2)
        api = DBTCloudClientV2(credentials=settings, outage_timeout=0)
        assert run(run_job(io, api, settings)).is_success
        assert triggers(cloud) == 1

    def test_nothing_readable(
        self, fault: Fault, cloud: LocalDBTCloud, settings: DBTCloudConfiguration, io: JumpingIO
    ) -> None:
        """If nothing can be read afterwards, the outcome is unknown, and nothing is sent again."""
        cloud.fail_next(fault, times=500)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="look for a run with"):
            DBTCloudClientV2(credentials=settings, io=io).trigger_job_run(cloud.jobs[0].id)
        assert triggers(cloud) == 1


def test_nobody_listens(io: JumpingIO) -> None:
    """A port where nobody listens certainly had no request."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config = configured(base_api_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        client = DBTCloudClientV2(credentials=config, io=io)
        with pytest.raises(DBTCloudNotTriggeredException, match="Connection refused"):
            client.trigger_job_run(7)


def test_redirect_to_another_port(io: JumpingIO) -> None:
    """The token does not follow a redirect, and the error says where it leads."""
    with WireServer(sends(envelope({}))) as other:
        redirect = http("", "307 Moved", f"Location: {other.url}/api/v2/accounts/1/jobs/7/run/")
        with WireServer(sends(redirect)) as server:
            client = DBTCloudClientV2(credentials=configured(base_api_url=server.url), io=io)
            target = other.url.removeprefix("http://")
            with pytest.raises(DBTCloudHTTPException, match=f"redirects to {target}"):
                client.trigger_job_run(7)
        assert other.requests == []


def test_proxy_does_not_see_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP to this machine does not go through a proxy, which would see the token."""
    answer = envelope(sample_run("run_success", id=1)["data"])
    with WireServer(sends(answer)) as proxy, WireServer(sends(answer)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert get_dbt_cloud_run_status(configured(base_api_url=server.url), 1).is_success
        assert proxy.requests == []
        assert f"Token {TOKEN}".encode() in server.requests[0]


def test_tls_to_a_plain_server() -> None:
    """HTTPS where plain HTTP is spoken: no handshake, and no endless retry without a word."""
    with WireServer(sends(http("", "400 Bad Request"))) as server:
        url = server.url.replace("http", "https")
        with pytest.raises(DBTCloudConnectionException, match="SSL"):
            get_dbt_cloud_run_status(configured(base_api_url=url, outage_timeout=0), 1)


def test_page_of_a_web_site(io: JumpingIO) -> None:
    """A host that answers every request with a page is told after a few tries."""
    with WireServer(sends(http((SAMPLES / "login.html").read_text()))) as server:
        settings = configured(base_api_url=server.url, run_id="1")
        api = DBTCloudClientV2(credentials=settings, outage_timeout=0)
        with pytest.raises(DBTCloudResponseException, match="Is `base_api_url` the access URL"):
            run(follow_run(io, api, settings))
    assert sum(io.sleeps) <= 10
