"""Settings as the rest of the package and users see them: resolved, from any thread."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from dlt.common.typing import ConfigValueSentinel

from dlt_dbt_cloud._api import TRIGGER_FIELDS, TriggerOverrides
from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud._settings.checks import api_v2_url, checked_id, may_use_http, required_id
from dlt_dbt_cloud._settings.local import LocalCloud
from dlt_dbt_cloud._settings.lookup import Layer, Place, active_pipeline_name, find, places
from dlt_dbt_cloud._settings.messages import malformed, missing, nearest, redacted
from dlt_dbt_cloud._settings.settings import DBTCloudConfiguration
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

__all__ = [
    "TRIGGER_FIELDS",
    "DBTCloudConfiguration",
    "TriggerOverrides",
    "active_pipeline_name",
    "api_v2_url",
    "checked_id",
    "malformed",
    "may_use_http",
    "required_id",
    "resolve_dbt_cloud_configuration",
    "setting_docs",
    "with_dbt_cloud_configuration",
]

P = ParamSpec("P")
R = TypeVar("R")

OVERRIDES = "overrides"
"""The parameter `**overrides: Unpack[TriggerOverrides]`."""

OTHER_SETTING = " It is a setting: pass it as `credentials=DBTCloudConfiguration({}=...)`."
"""The hint for a setting that is no argument."""


def setting_docs() -> dict[str, str]:
    """Returns what each setting means."""
    spec = DBTCloudConfiguration
    return {name: spec.__dataclass_fields__[name].metadata["doc"] for name in spec()}


def resolve_dbt_cloud_configuration(
    credentials: Any = None,
    *,
    pipeline_name: str | None = None,
    requires: Sequence[str] = (),
    **arguments: Any,
) -> DBTCloudConfiguration:
    """Returns all settings, checked. It may be called from any thread.

    Args:
        credentials: A `DBTCloudConfiguration` whose fields win over all that dlt's providers have.
            dlt's `dlt.secrets.value` or None leave all fields to the providers.
        pipeline_name: Pipeline whose section wins over `[dbt_cloud]`, by default the active one.
        requires: Settings that must be there, besides the token. `job_name` may stand for `job_id`.
        arguments: Settings that win over `credentials`. None means not given.

    Raises:
        InvalidCredentialsException: Settings are missing or malformed: all of them, in one message.
    """
    own = credentials if isinstance(credentials, DBTCloudConfiguration) else None
    if own is None and not isinstance(credentials, ConfigValueSentinel | None):
        raise malformed("credentials", "a DBTCloudConfiguration", type(credentials))
    layers = [
        Layer("the arguments", {k: v for k, v in arguments.items() if v is not None}),
        Layer("`credentials`", own.explicit() if own else {}),
    ]
    del arguments  # a traceback may show locals
    is_final = own is not None and own.is_resolved()
    layers += [] if is_final else _sections(pipeline_name or active_pipeline_name())
    local = LocalCloud.from_environment()
    config, found = _checked(layers, local, requires)
    if local and not is_final:
        logger.info("Using job %s of %s", config.job_id, local)
    if "job_id" in requires and not local:
        name = "job_id" if config.job_id else "job_name"
        line = f"`{name}` is {config[name]!r}, from {found[name].source}"
        logger.info("%s", redacted(line, [config.api_token]))
    return config


def _sections(pipeline_name: str | None) -> Iterator[Layer]:
    """Yields the settings of each place, and warns of unknown ones."""
    fields = DBTCloudConfiguration.get_resolvable_fields()
    for place in places(pipeline_name):
        for name in place.names():
            if name not in fields:
                hint = nearest(name, fields)
                logger.warning("Unknown setting `%s` in %s.%s", name, place, hint)
        yield Layer(place, place.values(fields))


def _checked(
    layers: Sequence[Layer], local: LocalCloud | None, requires: Sequence[str]
) -> tuple[DBTCloudConfiguration, dict[str, Layer]]:
    """Returns the settings, with those of the local dbt Cloud on top, and the layer of each."""
    problems: list[str] = []
    found = find(layers)
    try:
        found = find([local.layer(layers), *layers]) if local else found
        config = DBTCloudConfiguration(**{name: it.values[name] for name, it in found.items()})
        config.resolve()
    except InvalidCredentialsException as error:
        problems.append(str(error))
    problems += _problems(found)
    given = {name for name, layer in found.items() if layer.values[name] not in (None, "")}
    given |= {"job_id"} if "job_name" in given else set()
    if absent := [name for name in ("api_token", *requires) if name not in given]:
        looked_in = [it.source for it in layers if isinstance(it.source, Place)]
        problems.append(str(missing(absent, looked_in)))
    if problems:
        # Every token is redacted, also one that another replaces.
        tokens = (str(layer.values.get("api_token") or "") for layer in layers)
        raise InvalidCredentialsException(redacted("\n".join(problems), tokens))
    return config, found


def _problems(found: Mapping[str, Layer]) -> Iterator[str]:
    """Yields what is wrong with the places of settings, e.g. a token in a file without secrets."""
    job, token = found.get("job_id"), found.get("api_token")
    is_both = job is not None and job.values.get("job_name") and "job_name" not in found
    if is_both and isinstance(place := found["job_id"].source, Place):
        yield f"`job_id` and `job_name` are both in {place}. Remove one of them."
    if token and isinstance(place := token.source, Place) and not place.may_hold("api_token"):
        yield f"`api_token` is in {place}, which is not for secrets. Move it to secrets.toml."


class _Arguments(inspect.BoundArguments):
    """The arguments of a call. They are not shown in tracebacks with locals."""

    __repr__ = object.__repr__

    def settings(self) -> dict[str, Any]:
        """Returns the settings among them, overrides too."""
        passed = {**self.arguments, **self.arguments.get(OVERRIDES, {})}
        return {n: passed[n] for n in DBTCloudConfiguration.get_resolvable_fields() if n in passed}


@overload
def with_dbt_cloud_configuration(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def with_dbt_cloud_configuration(
    *, requires: Sequence[str]
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def with_dbt_cloud_configuration(
    function: Callable[P, R] | None = None, /, *, requires: Sequence[str] = ()
) -> Any:
    """Injects the settings into the parameters of the same name, and all of them as `credentials`.

    Does what dlt's `with_config` does, except that what the caller passes wins over the files, also
    field by field in `credentials` and as `**overrides: Unpack[TriggerOverrides]`; the section of
    the pipeline whose `load_info` is passed wins, else that of the active pipeline; and it may be
    called from any thread.

    Args:
        function: The function.
        requires: Settings that must be there, besides the token.
    """
    if function is None:
        return functools.partial(with_dbt_cloud_configuration, requires=requires)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _check_keywords(function.__name__, signature.parameters, kwargs)
        call = _Arguments(signature, signature.bind(*args, **kwargs).arguments)
        del args, kwargs  # a traceback may show locals
        load_info, pipeline = call.arguments.get("load_info"), call.arguments.get("pipeline")
        named = Load.of(load_info) if load_info is not None else pipeline
        config = resolve_dbt_cloud_configuration(
            call.arguments.get("credentials"),
            pipeline_name=named.pipeline_name if named else None,
            requires=requires,
            **call.settings(),
        )
        injected = {**config, "credentials": config}
        call.arguments.update({n: injected[n] for n in signature.parameters if n in injected})
        del injected
        return function(*call.args, **call.kwargs)

    return wrapper


def _check_keywords(function: str, parameters: Collection[str], keywords: Iterable[str]) -> None:
    """Raises a `TypeError` with the nearest name for an unknown keyword argument."""
    known = {*parameters, *(TRIGGER_FIELDS if OVERRIDES in parameters else ())} - {OVERRIDES}
    for name in keywords:
        if name not in known:
            is_setting = name in DBTCloudConfiguration.get_resolvable_fields()
            hint = OTHER_SETTING.format(name) if is_setting else nearest(name, known)
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}.{hint}")
