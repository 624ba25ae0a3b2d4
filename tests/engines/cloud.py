"""The local dbt Cloud of one scenario, and what it has seen."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.run import DBTCloudRunStatus

CERTIFICATE: Final = Path(__file__).parents[1] / "http" / "loopback.pem"
"""Others' clients know only https. Their processes trust this one certificate."""


class ScenarioTimeoutError(Exception):
    """Something that a scenario waits for did not happen."""


def until(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """Returns what a condition returns, once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise ScenarioTimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return found


class Cloud(LocalDBTCloud):
    """A dbt Cloud with one job, whose runs take some seconds.

    Args:
        seconds: How long a run takes.
    """

    def __init__(self, seconds: float) -> None:
        script = [(0.0, 1), (0.5, 3), (seconds, 10)]
        super().__init__(jobs=[ScriptedJob(name="Scenario", statuses=script)])

    @property
    def runs(self) -> int:
        """How many runs were created."""
        return len(self._world.runs)

    @property
    def cancelled(self) -> int:
        """How many of them were cancelled."""
        runs = list(self._world.runs.values())
        return sum(run.status == DBTCloudRunStatus.CANCELLED for run in runs)

    @property
    def polls(self) -> int:
        """How many times a run was read."""
        return sum(r.method == "GET" and "/runs/" in r.path for r in self.requests)

    def until_created(self) -> None:
        """Waits for the first run."""
        until(lambda: self.runs, "a run of the job", 240)

    def until_polled(self, times: int = 2) -> None:
        """Waits until a run was polled."""
        self.until_created()
        seen = self.polls
        until(lambda: self.polls >= seen + times, "polls")


class TLS:
    """Serves local dbt Clouds over https, each on a port of its own.

    It forwards all, but for the `Host`: the local dbt Cloud answers to its own name alone.
    """

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(CERTIFICATE)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def serve(self, port: int) -> int:
        """Returns the https port of what listens on a port."""

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            hosts = [f"127.0.0.1:{it}" for it in (writer.get_extra_info("sockname")[1], port)]
            await asyncio.gather(_copy(reader, back, *hosts), _copy(there, writer))

        server = asyncio.start_server(forward, "127.0.0.1", 0, ssl=self._context)
        listening = asyncio.run_coroutine_threadsafe(server, self._loop).result(10)
        return int(listening.sockets[0].getsockname()[1])


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, old: str = "", new: str = ""
) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk.replace(old.encode(), new.encode()) if old else chunk)
            await writer.drain()
    except OSError:
        pass
    writer.close()


def connection(cloud: LocalDBTCloud, host: str) -> str:
    """Returns an Airflow connection as the official provider stores it."""
    settings = cloud.settings()
    return json.dumps(
        {
            "conn_type": "dbt_cloud",
            "host": host,
            "login": settings["account_id"],
            "password": settings["api_token"],
        }
    )
