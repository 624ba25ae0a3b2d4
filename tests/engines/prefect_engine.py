"""A Prefect server on loopback, and the process that serves the flows."""

from typing import Any, ClassVar

from tests.engines.cloud import until
from tests.engines.engine import SUBJECTS, Engine, EngineWork, free_port


class PrefectWork(EngineWork):
    """A flow run with a task that runs the job."""

    engine: "Prefect"
    _flow_run_id = ""
    _final = frozenset({"Completed", "Failed", "Crashed", "Cancelled", "TimedOut"})

    def start(self) -> None:
        """Starts a flow run."""
        deployment = self.engine.ask("GET", f"deployments/name/{self.client}/scenario")["id"]
        body = {"parameters": {"name": self.name}, "state": {"type": "SCHEDULED"}}
        created = self.engine.ask("POST", f"deployments/{deployment}/create_flow_run", body)
        self._flow_run_id = created["id"]

    again = start

    def stop(self) -> None:
        """Cancels the flow run."""
        self._set_state("CANCELLING", "Cancelling")
        self._final -= {"Crashed"}  # it is cancelled a moment later

    def wait(self) -> str:
        """Returns the state of the flow run when it is over.

        Prefect retries no flow run whose process has died: a person or an automation does.
        """
        has_crashed = False
        while (state := self._end()) == "Crashed" and not has_crashed:
            has_crashed = True
            self._set_state("SCHEDULED", "AwaitingRetry")
            until(lambda: self._state() not in {"Crashed", "AwaitingRetry"}, "a retry", 60)
        return f"Crashed, retried by hand, {state}" if has_crashed else state

    def _end(self) -> str:
        until(lambda: self._state() in self._final, f"{self.name} is over", 400)
        return self._state()

    def _state(self) -> str:
        return str(self.engine.ask("GET", f"flow_runs/{self._flow_run_id}")["state"]["name"])

    def _set_state(self, kind: str, name: str) -> None:
        body = {"state": {"type": kind, "name": name}, "force": True}
        self.engine.ask("POST", f"flow_runs/{self._flow_run_id}/set_state", body)


class Prefect(Engine):
    """Prefect 3."""

    name: ClassVar[str] = "prefect"
    clients: ClassVar[tuple[str, ...]] = ("ours", "official")
    work_type = PrefectWork
    at_once: ClassVar[int] = 3  # a flow run is a process that imports all of Prefect

    def settings(self) -> dict[str, str]:
        """Returns the configuration."""
        self._port = str(free_port())
        self._url = f"http://127.0.0.1:{self._port}/api"
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self._url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "DO_NOT_TRACK": "1",
        }

    def boot(self) -> None:
        """Starts the server, then what serves the flows."""
        self.start("server", "prefect", "server", "start", "--port", self._port, "--no-ui")
        until(lambda: self.api("GET", f"{self._url}/health"), "the server", 60)
        self.start("flows", "python", str(SUBJECTS / "flows.py"))
        until(self._is_serving, "the flows", 60)

    def _is_serving(self) -> bool:
        return len(self.ask("POST", "deployments/filter", {})) == len(self.clients)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Returns what Prefect's API answers."""
        return self.api(method, f"{self._url}/{path}", body)
