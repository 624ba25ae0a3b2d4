"""The local dbt Cloud that wraps a script or a test: it wins over all that is configured.

It announces itself in one environment variable, which threads and subprocesses see too.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dlt_dbt_cloud._io.clock import VARIABLE
from dlt_dbt_cloud._settings.checks import api_v2_url
from dlt_dbt_cloud._settings.lookup import Layer, Place, find
from dlt_dbt_cloud.exceptions import InvalidCredentialsException


@dataclass(frozen=True)
class LocalCloud:
    """What a client needs to know about the local dbt Cloud.

    Attributes:
        base_api_url: Where it listens.
        account_id: Its account.
        api_token: Its token.
        jobs: Names of its jobs by their ids. The first is the default.
        clock: The file of its virtual clock, None if waiting takes real time.
    """

    base_api_url: str
    account_id: str
    api_token: str = field(repr=False)
    jobs: Mapping[str, str]
    clock: str | None = None

    @classmethod
    def from_environment(cls) -> "LocalCloud | None":
        """Returns the one that wraps this process, if there is one."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    def to_environment(self) -> dict[str, str]:
        """Returns the environment variable for the processes that it wraps."""
        return {VARIABLE: json.dumps(vars(self))}

    def layer(self, layers: Sequence[Layer]) -> Layer:
        """Returns the settings that win over all others. Another host may not be passed."""
        host = find(layers).get("base_api_url")
        if host and not isinstance(host.source, Place):
            url = api_v2_url(host.values["base_api_url"])
            if url != api_v2_url(self.base_api_url):
                raise InvalidCredentialsException(
                    f"`base_api_url` is passed as {url}, but this process runs against {self} and"
                    " may use no other host."
                )
        unset = dict.fromkeys(("job_name", "project_id", "environment_id"))
        ours = {it: getattr(self, it) for it in ("base_api_url", "account_id", "api_token")}
        return Layer(str(self), {**ours, **unset, "job_id": self._job_id(layers)})

    def _job_id(self, layers: Sequence[Layer]) -> str:
        """Returns the job that is configured if it is a local one, else the first."""
        default = next(iter(self.jobs))
        ids = {name: job_id for job_id, name in self.jobs.items()} | {i: i for i in self.jobs}
        for layer in layers:
            for name in ("job_id", "job_name"):
                job_id = ids.get(str(layer.values.get(name) or "").strip())
                # The wrapper itself sets `DBT_CLOUD__JOB_ID`: that is no choice of the user.
                is_own = job_id == default and name == "job_id" and isinstance(layer.source, Place)
                if job_id and not is_own:
                    return job_id
        return default

    def __str__(self) -> str:
        return f"the local dbt Cloud at {self.base_api_url}"
