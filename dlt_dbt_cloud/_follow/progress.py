"""Show a wait as dlt shows its steps: through the progress collector of the pipeline."""

from collections.abc import Callable
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.pipeline import LoadInfo, PipelineContext
from dlt.common.runtime.collector import NullCollector
from dlt.common.runtime.collector_base import Collector
from typing_extensions import Self

from dlt_dbt_cloud._follow.schedule import UsualTimes
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun, clock
from dlt_dbt_cloud.timing import Timer


def collector_of(load_info: LoadInfo | None = None) -> Collector | None:
    """Returns the collector of the pipeline that has loaded, else of the active one.

    None if there is no pipeline, or if its progress is off.
    """
    context = Container()[PipelineContext]
    pipeline: Any = load_info.pipeline if load_info else None
    if pipeline is None and context.is_active():
        pipeline = context.pipeline()
    collector = getattr(pipeline, "collector", None)
    return None if isinstance(collector, NullCollector) else collector


class Progress:
    """Shows a wait: seconds, what the run is doing, and what is usually left.

    The first counter is the wait as a whole, the only one that some collectors show; each thing
    that the run does has one of its own. A collector that raises is reported once and then left
    alone: it never ends a wait.

    Args:
        collector: The collector, None to show nothing.
        title: What is waited for.
        timer: Clock.
        usual: How long runs of the job usually take.
    """

    def __init__(
        self,
        collector: Collector | None,
        title: str,
        timer: Timer,
        usual: UsualTimes | None = None,
    ) -> None:
        self._collector = collector
        self._title = title
        self._timer = timer
        self._usual = usual
        self._shown_until = timer.now()
        self._activity = ""

    def __enter__(self) -> Self:
        self._call(lambda collector: collector(self._title).__enter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(lambda collector: collector.__exit__(None, None, None))  # type: ignore[arg-type]

    def show(self, run: DBTCloudRun) -> None:
        """Shows what a run was found to be doing."""
        total: Any = round(self._usual.queued + self._usual.ran) if self._usual else None
        message = ", ".join(filter(None, [run.activity, _left(run, self._usual)]))
        elapsed = int(self._timer.now() - self._shown_until)
        self._shown_until += elapsed
        self._call(lambda c: c.update("Seconds", inc=elapsed, total=total, message=message))
        if elapsed:
            self._call(lambda c: c.update(self._activity, inc=elapsed))
        self._activity = run.activity

    def show_ended(self, ended: int, total: int) -> None:
        """Shows that so many runs more have ended."""
        self._call(lambda c: c.update("Runs", inc=ended, total=total))

    def _call(self, call: Callable[[Collector], object]) -> None:
        if self._collector is None:
            return
        try:
            call(self._collector)
        except Exception:  # noqa: BLE001  # a collector may be the user's own
            logger.warning("The progress collector failed and is left alone.", exc_info=True)
            self._collector = None


def _left(run: DBTCloudRun, usual: UsualTimes | None) -> str:
    if usual is None or run.is_complete:
        return ""
    left = usual.ran - run.run_seconds
    about = f"about {clock(left)} left" if left > 0 else "longer than usual"
    return f"usually {clock(usual.ran)}, {about}"
