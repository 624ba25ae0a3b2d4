"""Dagster's daemon and web server, with an instance of their own."""

from typing import Any, ClassVar

from tests.engines.cloud import until
from tests.engines.engine import SUBJECTS, Engine, EngineWork, free_port

INSTANCE = """
run_retries: {enabled: true, max_retries: 3}
run_monitoring:
  enabled: true
  poll_interval_seconds: 2
  cancel_timeout_seconds: 10
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1, max_concurrent_runs: 6}
telemetry: {enabled: false}
"""

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}"""

AGAIN = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}"""

STOP = """
mutation ($id: String!) {
  terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) { __typename }
}"""

RUNS = """
query ($job: String!) {
  runsOrError(filter: {pipelineName: $job}) {
    ... on Runs { results { runId status tags { key value } } }
  }
}"""


class DagsterWork(EngineWork):
    """A run of a Dagster job with an op that runs the job."""

    engine: "Dagster"
    _run_id = ""

    def start(self) -> None:
        """Launches a run."""
        where = {
            "repositoryLocationName": "scenarios",
            "repositoryName": "__repository__",
            "jobName": self.name,
        }
        self._launch(LAUNCH, "launchRun", {"selector": where})

    again = start

    def clear(self) -> None:
        """Has all steps of a run executed again."""
        params = {"parentRunId": self._run_id, "strategy": "ALL_STEPS"}
        self._launch(AGAIN, "launchRunReexecution", params)

    def _launch(self, query: str, name: str, params: Any) -> None:
        found = self.engine.ask(query, params=params)[name]
        if "run" not in found:
            raise RuntimeError(str(found))
        self._run_id = found["run"]["runId"]

    def stop(self) -> None:
        """Terminates the run."""
        self.engine.ask(STOP, id=self._run_id)

    def wait(self) -> str:
        """Returns the states of the run and of its retries when they are over."""

        def are_over() -> bool:
            runs = self._runs()
            tags = {tag["key"]: tag["value"] for tag in runs[0]["tags"]}
            is_decided = runs[0]["status"] != "FAILURE" or "dagster/will_retry" in tags
            will_go_on = tags.get("dagster/will_retry") == "true"
            final = {"SUCCESS", "FAILURE", "CANCELED"}
            return all(run["status"] in final for run in runs) and is_decided and not will_go_on

        until(are_over, f"{self.name} is over", 400)
        return ", ".join(run["status"].lower() for run in reversed(self._runs()))

    def _runs(self) -> Any:
        return self.engine.ask(RUNS, job=self.name)["runsOrError"]["results"]


class Dagster(Engine):
    """Dagster 1."""

    name: ClassVar[str] = "dagster"
    clients: ClassVar[tuple[str, ...]] = ("ours", "official")
    work_type = DagsterWork
    at_once: ClassVar[int] = 3  # a run is a process that imports all of Dagster

    def settings(self) -> dict[str, str]:
        """Returns the configuration."""
        self._code, self._web = str(free_port()), str(free_port())
        return {"DAGSTER_HOME": str(self.home), "DAGSTER_DISABLE_TELEMETRY": "yes"}

    def boot(self) -> None:
        """Starts the code server, then the daemon and the web server."""
        (self.home / "dagster.yaml").write_text(INSTANCE)
        where = f"{{host: 127.0.0.1, port: {self._code}, location_name: scenarios}}"
        (self.home / "workspace.yaml").write_text(f"load_from: [{{grpc_server: {where}}}]")
        subjects = str(SUBJECTS / "definitions.py")
        self.start(
            "code", "dagster", "api", "grpc", "-f", subjects, "-h", "127.0.0.1", "-p", self._code
        )
        ping = ("dagster", "api", "grpc-health-check", "-p", self._code)
        until(lambda: self.succeeds(*ping), "the code server", 90)
        workspace = ("-w", str(self.home / "workspace.yaml"))
        self.start("daemon", "dagster-daemon", "run", *workspace)
        self.start("web", "dagster-webserver", *workspace, "-h", "127.0.0.1", "-p", self._web)
        until(lambda: self.api("GET", f"http://127.0.0.1:{self._web}/server_info"), "the page", 90)

    def ask(self, query: str, **variables: Any) -> Any:
        """Returns what Dagster's API answers."""
        body = {"query": query, "variables": variables}
        answer = self.api("POST", f"http://127.0.0.1:{self._web}/graphql", body)
        if answer.get("errors"):
            raise LookupError(str(answer["errors"])[:500])
        return answer["data"]
