"""Every setting of the package: its name, its default, its meaning and its validation."""

import difflib
import functools
import inspect
import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Final, List, ParamSpec, TypeVar  # noqa: UP035  # dlt reads it
from urllib.parse import SplitResult, urlsplit

from dlt.common.configuration import (
    ConfigValueCannotBeCoercedException,
    configspec,
    inject_section,
    known_sections,
    resolve_configuration,
)
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import LoadInfo, PipelineContext
from dlt.common.typing import ConfigValueSentinel, TSecretStrValue
from typing_extensions import Self

from dlt_dbt_cloud.exceptions import InvalidCredentialsException
from dlt_dbt_cloud.log import logger

P = ParamSpec("P")
R = TypeVar("R")

TRIGGER_FIELDS: Final = (
    "cause",
    "git_sha",
    "git_branch",
    "schema_override",
    "dbt_version_override",
    "target_name_override",
    "threads_override",
    "generate_docs_override",
    "timeout_seconds_override",
    "steps_override",
    "azure_pull_request_id",
    "github_pull_request_id",
    "gitlab_merge_request_id",
    "non_native_pull_request_id",
)
"""The fields of the trigger request (`TriggerRunRequestRequest` of dbt Labs' OpenAPI spec)."""


@configspec
class DBTCloudConfiguration(BaseConfiguration):
    """Settings of a dbt Cloud job and of the wait for its runs, all of them in `[dbt_cloud]`.

    An instance is what `credentials=` takes: its fields then win over those in the files and the
    environment, and the fields that it leaves out are looked up there.
    """

    # Without a section of its own a bare `PROJECT_ID` in the environment would be taken for ours.
    __section__: ClassVar[str] = known_sections.DBT_CLOUD

    api_token: TSecretStrValue = ""
    """Service token or personal access token. To run a job it needs the permission "Job runner"."""
    account_id: str | None = None
    """Id of the account, digits."""
    job_id: str | None = None
    """Id of the job to run, digits."""
    project_id: str | None = None
    """Id of the project in which `job_name` is looked up."""
    environment_id: str | None = None
    """Id of the environment in which `job_name` is looked up."""
    run_id: str | None = None
    """Id of the run that `get_dbt_cloud_run_status` looks at."""

    cause: str = "Triggered via API"
    """Why the job runs: shown in dbt Cloud and passed into the run as `DBT_CLOUD_RUN_REASON`."""
    git_sha: str | None = None
    """Commit to check out. Wins over `git_branch`."""
    git_branch: str | None = None
    """Branch to check out."""
    schema_override: str | None = None
    """Schema to build into instead of the environment's."""
    dbt_version_override: str | None = None
    """dbt version to run with."""
    target_name_override: str | None = None
    """`target.name` that the models see."""
    threads_override: int | None = None
    """Threads that dbt runs with."""
    generate_docs_override: bool | None = None
    """Whether the run generates the documentation."""
    timeout_seconds_override: int | None = None
    """Seconds after which dbt Cloud ends the run."""
    steps_override: List[str] | None = None  # noqa: UP006
    """dbt commands to run instead of the job's, e.g. `["dbt build --select flights"]`."""
    azure_pull_request_id: int | None = None
    """Pull request that the run belongs to."""
    github_pull_request_id: int | None = None
    """Pull request that the run belongs to."""
    gitlab_merge_request_id: int | None = None
    """Merge request that the run belongs to."""
    non_native_pull_request_id: int | None = None
    """Pull request that the run belongs to, of another git provider."""

    base_api_url: str = "https://cloud.getdbt.com/api"
    """Access URL of the account: host or URL, with or without `/api`, `/api/v2`."""
    job_name: str | None = None
    """Exact name of the job to run, where no `job_id` is given."""
    wait_for_outcome: bool = True
    """Whether to wait until the run has ended."""
    wait_seconds: float = 10
    """Longest interval between two looks at the run, in seconds. Short runs are looked at more, and
    less, every 50 s, those that usually don't end yet."""
    wait_timeout: float = 24 * 60 * 60
    """Longest wait in seconds, by default dbt Cloud's own limit on a run."""
    raise_on_failure: bool = False
    """Whether a run that did not succeed raises an exception."""
    retry_failed: int = 0
    """How many times a failed run is continued from its failed step."""
    cancel_on_abort: bool = False
    """Whether Ctrl-C, SIGTERM and the deadline cancel the run that this call has triggered."""
    reuse_queued: bool = False
    """Whether a run of the job that is still queued, with the same overrides, is waited for in
    place of a new one: it will see this load too."""
    outage_timeout: float = 10 * 60
    """How long an unreachable API is ridden out, in seconds. More than the five minutes for which
    dbt Cloud shuts out an account over its rate limit."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers what was passed, so that a passed default wins too."""
        self = super().__new__(cls)
        # Past the fields of the dataclass, as it is none of the settings.
        self.__dict__["_passed"] = {*_names(cls, args), *kwargs}
        return self

    def explicit(self) -> dict[str, Any]:
        """Returns the fields that were passed or set, and all fields once they are resolved."""
        if self.is_resolved():
            return dict(self)
        passed = {name: self[name] for name in self.__dict__.get("_passed", ())}
        return {**passed, **self.as_dict_nondefault()}

    def on_resolved(self) -> None:
        """Validates all settings and brings them to one form.

        Raises:
            InvalidCredentialsException: If one is missing or malformed.
        """
        self.api_token = checked_token(self.api_token)
        self.base_api_url = api_v2_url(self.base_api_url)
        for name in ("account_id", "job_id", "project_id", "environment_id", "run_id"):
            value = self[name]
            self[name] = None if value in (None, "") else str(checked_id(name, value))
        for name in ("wait_seconds", "wait_timeout", "outage_timeout", "retry_failed"):
            check_not_negative(name, self[name])
        check_steps(self.steps_override)

    def trigger_request(self, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the body of the trigger request: the configured overrides, then `data` as given.

        A key of `data` that the API does not know is sent, with a warning: the API ignores it
        silently, and a run with a misspelt `schema_override` builds into the wrong schema.
        """
        if data is not None and not isinstance(data, Mapping):
            raise InvalidCredentialsException(f"`data` is a dict of overrides, not {data!r}.")
        request = {name: self[name] for name in TRIGGER_FIELDS if self[name] not in (None, "", [])}
        if "git_sha" in request:
            request.pop("git_branch", None)
        if (data or {}).get("git_branch"):
            request.pop("git_sha", None)  # what is passed wins over a configured commit
        for key in set(data or {}).difference(TRIGGER_FIELDS):
            logger.warning("dbt Cloud ignores `%s` in `data`.%s", key, suggestion(key))
        return {**request, **(data or {})}


def _names(spec: type[BaseConfiguration], args: tuple[Any, ...]) -> Iterator[str]:
    """Yields the names of the fields that positional arguments set."""
    names = (name for name, field in spec.__dataclass_fields__.items() if field.init)
    return (name for name, _ in zip(names, args, strict=False))


def suggestion(key: object) -> str:
    """Returns the known fields that are spelt much like `key`, as a question."""
    near = difflib.get_close_matches(str(key), TRIGGER_FIELDS, n=1)
    return f" Did you mean `{near[0]}`?" if near else f" It knows {', '.join(TRIGGER_FIELDS)}."


def checked_token(token: Any) -> str:
    """Returns the token without surrounding white space, as files and shells tend to add it."""
    text = str(token or "").strip()
    if not text:
        raise missing("api_token")
    if not re.fullmatch(r"[!-~]+", text):
        # The message does not show the token.
        raise InvalidCredentialsException(
            "`api_token` has characters that no token has, maybe a space or a line break. Copy"
            " the token alone, without `Token ` or `Bearer ` before it."
        )
    return text


def checked_id(name: str, value: Any) -> int:
    """Returns an id as an int. Newer accounts have ids of 14 digits.

    Raises:
        InvalidCredentialsException: If it is neither an `int` nor a `str` of digits.
    """
    text = "" if isinstance(value, bool) else str(value).strip()
    if not re.fullmatch(r"[0-9]{1,18}", text) or not int(text):
        raise malformed(name, "a number as in dbt Cloud's address bar, an int or digits", value)
    return int(text)


def required_id(name: str, value: Any) -> int:
    """Returns an id as an int.

    Raises:
        InvalidCredentialsException: If it is missing or malformed.
    """
    if value in (None, ""):
        raise missing(name)
    return checked_id(name, value)


def check_not_negative(name: str, value: Any) -> None:
    """Refuses what is no number of seconds or of times."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise malformed(name, "a number, zero or more", value)


def check_steps(steps: Any) -> None:
    """Refuses `steps_override` that is one string: its letters would become the steps."""
    if steps is None:
        return
    if not isinstance(steps, list | tuple) or not all(isinstance(step, str) for step in steps):
        raise malformed("steps_override", 'a list of dbt commands, e.g. ["dbt build"]', steps)


def malformed(name: str, meaning: str, value: Any) -> InvalidCredentialsException:
    """Returns the exception for a setting whose value can't be meant."""
    return InvalidCredentialsException(f"`{name}` is {meaning}, not {value!r}.")


def api_v2_url(base_api_url: str) -> str:
    """Returns the base of all requests, `https://HOST/api/v2`.

    Args:
        base_api_url: What people have at hand: `ab123.us1.dbt.com`, `https://ab123.us1.dbt.com`,
            with or without `/api`, `/api/v2` and a trailing slash.

    Raises:
        InvalidCredentialsException: If it is no URL of a host, or not https and not loopback.
    """
    text = str(base_api_url).strip()
    url = _split(text if "://" in text else f"https://{text}")
    api = url.path.rstrip("/").removesuffix("/v2")
    prefix = api.removesuffix("/api")
    is_page = bool(prefix) and prefix == api  # of dbt Cloud's user interface, say
    has_more = is_page or "@" in url.netloc or url.query or url.fragment
    host = url.hostname or ""
    if has_more or not re.fullmatch(r"[\w:][\w.:-]*", host):
        raise _no_url(text)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise InvalidCredentialsException(
            f"`base_api_url` is https: over {url.scheme} everyone on the way to {host}"
            " could read the token. Only a server on this machine may have plain http."
        )
    return f"{url.scheme}://{url.netloc.lower()}{prefix}/api/v2"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        raise _no_url(url) from error
    return parts


def _no_url(text: str) -> InvalidCredentialsException:
    return InvalidCredentialsException(
        "`base_api_url` is the access URL of the account (Account settings, Access URLs), e.g."
        f" https://ab123.us1.dbt.com, not {text.rpartition('@')[2]!r}."
    )


def is_loopback(host: str) -> bool:
    """Tells whether requests to the host stay on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def missing(name: str) -> InvalidCredentialsException:
    """Returns the exception for a setting that nothing provides.

    It names the setting, the places that were looked in and the TOML to write.
    """
    section = known_sections.DBT_CLOUD
    places = "".join(f"  {place}\n" for place in _places(name))
    return InvalidCredentialsException(
        f"dbt Cloud's `{name}` is missing. It was looked for in\n{places}"
        f'Pass it, or write to .dlt/secrets.toml:\n\n[{section}]\n{name} = "..."\n'
    )


def _places(name: str) -> Iterator[str]:
    pipeline_name = active_pipeline_name()
    for section in dict.fromkeys((pipeline_name, None)):
        for provider in Container()[PluggableRunContext].providers.providers:
            if name == "api_token" and not provider.supports_secrets:
                continue
            _, key = provider.get_value(name, str, section, known_sections.DBT_CLOUD)
            yield f"{key} ({provider.name})"


def active_pipeline_name() -> str | None:
    """Returns the name of the pipeline whose sections are looked in first, if there is one."""
    context = Container()[PipelineContext]
    active = context.pipeline().pipeline_name if context.is_active() else None
    return Container()[ConfigSectionContext].pipeline_name or active


def resolve_dbt_cloud_configuration(
    credentials: Any = None, **arguments: Any
) -> DBTCloudConfiguration:
    """Returns all settings, validated.

    Args:
        credentials: A `DBTCloudConfiguration` whose fields win over all that dlt's providers have.
            dlt's `dlt.secrets.value` or None leave all fields to the providers.
        arguments: Settings that win over `credentials`. None means not given.

    Raises:
        InvalidCredentialsException: If a setting is missing or malformed.
    """
    if not isinstance(credentials, DBTCloudConfiguration | ConfigValueSentinel | None):
        raise malformed("credentials", "a DBTCloudConfiguration", type(credentials))
    explicit = credentials.explicit() if isinstance(credentials, DBTCloudConfiguration) else {}
    explicit.update({name: value for name, value in arguments.items() if value is not None})
    if _is_nearer("job_name", arguments, explicit):
        explicit["job_id"] = None  # the name that is passed wins over an id that is configured
    try:
        with inject_section(ConfigSectionContext(pipeline_name=active_pipeline_name())):
            return resolve_configuration(DBTCloudConfiguration(), explicit_value=explicit)
    except ConfigValueCannotBeCoercedException as error:
        check_steps(error.field_value if error.field_name == "steps_override" else None)
        raise malformed(error.field_name, f"a {error.hint.__name__}", error.field_value) from error


def _is_nearer(name: str, arguments: Mapping[str, Any], explicit: Mapping[str, Any]) -> bool:
    """Tells whether the job is given by name at a place that wins over those that give its id."""
    for given in (arguments, explicit):
        if given.get("job_id") is not None or given.get(name) is not None:
            return given.get("job_id") is None
    pipeline_name = active_pipeline_name()
    return bool(
        pipeline_name
        and _configured(name, pipeline_name)
        and not _configured("job_id", pipeline_name)
    )


def _configured(name: str, pipeline_name: str) -> bool:
    providers = Container()[PluggableRunContext].providers.providers
    section = known_sections.DBT_CLOUD
    found = (provider.get_value(name, str, pipeline_name, section)[0] for provider in providers)
    return any(value is not None for value in found)


def with_dbt_cloud_configuration(function: Callable[P, R]) -> Callable[P, R]:
    """Injects the settings into the parameters of the same name, and all of them as `credentials`.

    What dlt's `with_config` does, with two differences: what the caller passes wins over the files,
    also field by field in `credentials`, and the section of the active pipeline, or of the one
    whose `load_info` is passed, is looked in.
    """
    signature = inspect.signature(function)
    fields = DBTCloudConfiguration.get_resolvable_fields()
    injected = [name for name in signature.parameters if name in fields]

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        passed = {name: bound.arguments.get(name) for name in injected}
        with _pipeline_section(bound.arguments.get("load_info")):
            config = resolve_dbt_cloud_configuration(bound.arguments.get("credentials"), **passed)
        bound.arguments.update({name: config[name] for name in injected})
        if "credentials" in signature.parameters:
            bound.arguments["credentials"] = config
        return function(*bound.args, **bound.kwargs)

    return wrapper


def _pipeline_section(load_info: LoadInfo | None) -> AbstractContextManager[Any]:
    name = load_info.pipeline.pipeline_name if load_info else None
    return inject_section(ConfigSectionContext(pipeline_name=name))
