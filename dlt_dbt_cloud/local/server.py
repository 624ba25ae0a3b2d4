"""The server: it binds its port before anything else, and leaves nothing behind at the end."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dlt.common.exceptions import MissingDependencyException

try:
    from dlt_dbt_cloud.local.api.app import Guard, create_app
    from dlt_dbt_cloud.local.api.http import HTTPServer, listen
except ModuleNotFoundError as e:
    raise MissingDependencyException("a local dbt Cloud", ["dlt-dbt-cloud[local]"]) from e

from dlt_dbt_cloud._io.clock import VirtualClock
from dlt_dbt_cloud._settings.checks import PLAIN_HTTP_HOST, is_loopback
from dlt_dbt_cloud._settings.local import LocalCloud
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.local.api.wire import Wire
from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.faults import Fault, Request
from dlt_dbt_cloud.local.folders import temporary_folder
from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob
from dlt_dbt_cloud.local.pages.app import with_pages
from dlt_dbt_cloud.local.runners.dbt import DBTExecution, warm_up
from dlt_dbt_cloud.local.runners.scripted import ScriptedExecution
from dlt_dbt_cloud.local.runners.warm import WarmDBT
from dlt_dbt_cloud.local.scenes import Scene, play
from dlt_dbt_cloud.local.state.records import Execution, Job, Run
from dlt_dbt_cloud.local.state.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Self

_CLOCK: Final = "clock"


class LocalDBTCloud:
    """A local dbt Cloud: its API v2 on loopback, backed by real dbt Core or scripted jobs.

    Use it as a context manager. All its state is its own: several can be open at the same time.

    Args:
        project_dir: The folder of a dbt project, for a job that runs `dbt build` in it; or a job.
        jobs: More jobs. Without a `project_dir`, the credentials are for the first one.
        host: Where to listen. An address beyond this machine, such as `0.0.0.0` in a container,
            needs a `plain_http_host`.
        plain_http_host: The name by which other machines reach it. They send the token over plain
            HTTP: anyone on the network path can read it and run the jobs. This package's client
                sends it only if `DBT_CLOUD_PLAIN_HTTP_HOST` has the same name.
        port: Where to listen, 0 for any free port.
        api_token: The token that clients must send, by default a random one.
        runs_dir: Where runs keep their logs and artifacts, by default a temporary folder that is
            deleted at the end.
        keep_runs: How many finished runs keep their logs and artifacts there.
        strict: Whether to refuse requests that rest on a guess, with 501 and the guess.
        cancel_grace: Seconds that dbt gets to end after SIGINT, and again after SIGTERM.
        clock: The time in seconds, for scripted jobs and faults that depend on it.
        virtual_time: Whether waiting takes no time: instead of sleeping, a client that finds this
            local dbt Cloud in its environment moves the clock of scripted jobs and faults forward.
            For scripted jobs alone: dbt takes real time.
        dbt: A warm dbt that several servers share, one after the other.

    Raises:
        LocalDBTCloudException: On entry. The port is in use, dbt is not installed, or a job can't
            run: its dbt project, its profile or a step is missing or wrong.
    """

    def __init__(
        self,
        project_dir: str | Path | DBTJob | ScriptedJob | None = None,
        *,
        jobs: Sequence[DBTJob | ScriptedJob] = (),
        host: str = "127.0.0.1",
        plain_http_host: str | None = None,
        port: int = 0,
        api_token: str | None = None,
        runs_dir: str | Path | None = None,
        keep_runs: int = 100,
        strict: bool = False,
        cancel_grace: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        virtual_time: bool = False,
        dbt: WarmDBT | None = None,
    ) -> None:
        if isinstance(project_dir, str | Path):
            project_dir = DBTJob(project_dir)
        self._described = [*([] if project_dir is None else [project_dir]), *jobs]
        self._host = host
        self._plain_http_host = plain_http_host
        self._port = port
        self._runs_dir = runs_dir
        self._keep_runs = keep_runs
        self._strict = strict
        self._cancel_grace = cancel_grace
        self._clock = clock
        self._virtual_time = virtual_time
        self._dbt = dbt
        self._api_token = api_token or f"local_{secrets.token_hex(20)}"

    def __enter__(self) -> "Self":
        self._check()
        with ExitStack() as stack:
            listening = stack.enter_context(listen(self._host, self._port))
            self._at = listening.getsockname()[1]
            self._world = self._new_world(stack)
            self._wire = Wire(self._app(), self._world.runs, self._clock)
            stack.callback(self._world.close)
            server = HTTPServer(listening, Guard(self._wire, self.url))
            stack.callback(server.close)
            stack.callback(self._wire.closed.set)
            warm_up(self._world)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _new_world(self, stack: ExitStack) -> World:
        folder = Path(self._runs_dir or stack.enter_context(temporary_folder())).absolute()
        if self._virtual_time:
            self._clock = VirtualClock(folder / _CLOCK).now
            folder.joinpath(_CLOCK).touch()
        dbt = self._dbt or stack.enter_context(closing(WarmDBT()))
        world = World(folder, _execution, self._cancel_grace, self._clock, dbt, self._keep_runs)
        for described in self._described:
            world.add_job(described)
        return world

    def _app(self) -> "WSGIApplication":
        versions = (job.dbt_version() for job in self._described if isinstance(job, DBTJob))
        version = next(versions, "1.11.0")
        app = create_app(self._world, self._api_token, self.url, version, strict=self._strict)
        return with_pages(app.wsgi_app, self.url, self._api_token, str(self._world.account_id))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._at)

    @property
    def url(self) -> str:
        """Where it listens, as a URL without a path."""
        return f"http://{self._plain_http_host or self._host}:{self.port}"

    @property
    def runs_dir(self) -> Path:
        """Where runs keep their logs and artifacts."""
        return self._world.folder

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the account, with their ids."""
        return list(self._world.jobs.values())

    @property
    def credentials(self) -> DBTCloudConfiguration:
        """What a pipeline needs to trigger the first job."""
        return self.credentials_for(0)

    def credentials_for(self, job: int | str) -> DBTCloudConfiguration:
        """What a pipeline needs to trigger a job, which is given by its position or its name."""
        settings: Any = self.settings(job)
        return DBTCloudConfiguration(**settings)

    def settings(self, job: int | str = 0) -> dict[str, str]:
        """The same as `credentials_for`, as plain settings."""
        return {
            "api_token": self._api_token,
            "account_id": str(self._world.account_id),
            "job_id": str(self._job(job).id),
            "base_api_url": self.url,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The first job's settings as `DBT_CLOUD__...`, and `LOCAL_DBT_CLOUD`, which wins over all.

        A process with these variables reaches no other dbt Cloud through this package, whatever its
        files say. Other clients can read the `DBT_CLOUD__...` variables.
        """
        settings = self.settings()
        variables = {f"DBT_CLOUD__{name.upper()}": value for name, value in settings.items()}
        first = settings.pop("job_id")
        names = {str(job.id): job.name for job in self.jobs}
        clock = str(self.runs_dir / _CLOCK) if self._virtual_time else None
        local = LocalCloud(**settings, jobs={first: names[first], **names}, clock=clock)
        plain = {PLAIN_HTTP_HOST: self._plain_http_host} if self._plain_http_host else {}
        return {**variables, **local.to_environment(), **plain}

    @property
    def requests(self) -> list[Request]:
        """The requests served so far, in order of their answers."""
        return list(self._wire.requests)

    def fail_next(
        self,
        fault: Fault,
        path: str = "",
        *,
        method: str | None = None,
        times: int = 1,
        seconds: float | None = None,
    ) -> None:
        """Let the next requests fail.

        Args:
            fault: How they fail.
            path: A regular expression that is searched in the path, such as `/run/$` for
                triggers, `/runs/$` for lists and `/runs/[0-9]+/$` for polls.
            method: Only requests of this method.
            times: How many of them.
            seconds: Instead of `times`, how long all of them fail.
        """
        self._wire.fail_next(fault, path, method, times, seconds)

    def play(self, scene: Scene | str, *, seconds: float | None = None) -> None:
        """Set a scene: a situation of dbt Cloud that is hard to reproduce.

        Args:
            scene: Its name, see `Scene`.
            seconds: How long an outage or a slow API lasts.

        Raises:
            ValueError: There is no such scene.
        """
        play(Scene(scene), self._world, self._wire, seconds)

    def _job(self, job: int | str) -> Job:
        if isinstance(job, int):
            return self.jobs[job]
        found = next((known for known in self.jobs if known.name == job), None)
        if found is None:
            names = ", ".join(repr(known.name) for known in self.jobs)
            raise LookupError(f"There is no job {job!r}. There are {names}.")
        return found

    def _check(self) -> None:
        if not self._described:
            raise LocalDBTCloudException(
                "A local dbt Cloud needs a job: give it the folder of a dbt project, or jobs."
            )
        if not self._plain_http_host and not is_loopback(self._host):
            raise LocalDBTCloudException(
                f"On {self._host} other machines can send requests over plain HTTP, and anyone "
                "on the network path can read the token. If that is fine, say by which name they "
                "reach it: plain_http_host='dbt-cloud'."
            )
        for described in self._described:
            described.check()
            if self._virtual_time and isinstance(described, DBTJob):
                raise LocalDBTCloudException(
                    f"The job {described.name!r} runs dbt, which takes real time. Leave out "
                    "`virtual_time`."
                )


def _execution(world: World, run: Run) -> Execution:
    job = world.next_script or run.job.described
    world.next_script = None
    if isinstance(job, DBTJob):
        return DBTExecution(world, run, job)
    return ScriptedExecution(world, run, job)
