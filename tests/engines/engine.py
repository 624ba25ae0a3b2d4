"""What all engines have in common: a folder, processes, and pieces of work with their clouds."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import psutil  # type: ignore[import-untyped]
import requests
from typing_extensions import Self

from tests.engines.cloud import CERTIFICATE, TLS, Cloud, until
from tests.engines.scenarios import Scenario

ROOT: Final = Path(__file__).parents[2]
SUBJECTS: Final = Path(__file__).parent / "subjects"


class EngineWork:
    """A piece of work on an engine, with a dbt Cloud of its own.

    Args:
        engine: The engine.
        scenario: What goes wrong.
        client: What runs the job.
        cloud: The dbt Cloud of the job.
        https_port: Where it is reached over https.
    """

    def __init__(
        self, engine: "Engine", scenario: Scenario, client: str, cloud: Cloud, https_port: int
    ) -> None:
        self.engine = engine
        self.scenario = scenario
        self.client = client
        self.cloud = cloud
        self.https = f"127.0.0.1:{https_port}"
        self.name = f"{scenario.slug}_{client}"

    @property
    def is_possible(self) -> bool:
        """Whether the engine has what the scenario needs, and its client waits in that way."""
        return hasattr(self, self.scenario.needs)

    def describe(self) -> dict[str, Any]:
        """Returns what the processes of the engine must know."""
        return {
            "client": self.client,
            "settings": self.cloud.settings(),
            "https": self.https,
            "retries": self.scenario.retries,
            "time_limit": self.scenario.time_limit,
            "copies": self.scenario.copies,
        }

    def kill_worker(self) -> None:
        """Kills the process that does the work: it has noted its id."""
        with suppress(ProcessLookupError):
            os.kill(self.worker, signal.SIGKILL)

    @property
    def worker(self) -> int:
        """The process that does the work."""
        return int((self.engine.home / f"{self.name}.pid").read_text())


class Engine:
    """An engine with all its processes, in a folder that is new each time.

    Args:
        scenarios: The scenarios to prepare.
        clients: The clients, all by default.
    """

    name: ClassVar[str]
    clients: ClassVar[tuple[str, ...]]
    work_type: ClassVar[type[EngineWork]]
    at_once: ClassVar[int] = 3

    def __init__(self, scenarios: Sequence[Scenario], clients: Sequence[str] = ()) -> None:
        self.home = ROOT / "build" / "engines" / self.name
        self.bin = ROOT / f".venv-{self.name}" / "bin"
        self.works: dict[str, EngineWork] = {}
        self._scenarios = scenarios
        self._clients = [it for it in self.clients if it in (clients or self.clients)]
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Sequence[str]] = {}

    def __enter__(self) -> Self:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        with self._stack as stack:
            stack.callback(self.stop_all)
            tls = stack.enter_context(TLS())
            for scenario in self._scenarios:
                for client in self._clients:
                    cloud = stack.enter_context(Cloud(scenario.seconds))
                    https_port = tls.serve(cloud.port)
                    work = self.work_type(self, scenario, client, cloud, https_port)
                    if work.is_possible:
                        self.works[work.name] = work
            described = {name: work.describe() for name, work in self.works.items()}
            (self.home / "works.json").write_text(json.dumps(described))
            self.environment = {**self._environment(), **self.settings()}
            self.boot()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(self) -> dict[str, str]:
        """Returns the environment variables of the engine."""
        raise NotImplementedError

    def boot(self) -> None:
        """Starts the processes of the engine."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "ENGINE_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "SSL_CERT_FILE": str(CERTIFICATE),
            "REQUESTS_CA_BUNDLE": str(CERTIFICATE),
            "NO_PROXY": "127.0.0.1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }

    def run(self, *command: str) -> str:
        """Returns what a command prints."""
        with (self.home / "commands.log").open("ab") as log:
            done = subprocess.run(
                [self.bin / command[0], *command[1:]],
                env=self.environment,
                cwd=self.home,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=True,
                timeout=120,
            )
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        """Returns whether a command succeeds."""
        with suppress(subprocess.CalledProcessError):
            self.run(*command)
            return True
        return False

    def start(self, name: str, *command: str) -> None:
        """Starts a process that stays."""
        self._commands[name] = command
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [self.bin / command[0], *command[1:]],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def restart(self, name: str) -> None:
        """Kills a process and all that it has started, and starts it again."""
        os.killpg(self._processes[name].pid, signal.SIGKILL)
        self._processes[name].wait()
        self.start(name, *self._commands[name])

    @staticmethod
    def stop_all() -> None:
        """Ends all processes, also those that would go on without the ones that started them."""
        mine = psutil.Process().children(recursive=True)
        for process in mine:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(mine, 5)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, 5)

    def api(
        self, method: str, url: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Any:
        """Returns what the API of the engine answers. SQLite may be locked for a while."""
        answers: list[requests.Response] = []

        def is_answered() -> bool:
            with suppress(requests.RequestException):
                answers.append(
                    requests.request(method, url, json=body, headers=headers, timeout=30)
                )
                return answers[-1].status_code < 500
            return False

        until(is_answered, f"an answer to {method} {url}", 240)
        if not answers[-1].ok:
            raise LookupError(f"{method} {url}: {answers[-1].status_code} {answers[-1].text[:300]}")
        return answers[-1].json()


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
