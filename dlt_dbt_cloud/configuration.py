"""Settings as the rest of the package and users see them: resolved, from any thread."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar, overload  # dlt reads it

from dlt.common.typing import ConfigValueSentinel

from dlt_dbt_cloud._api import TRIGGER_FIELDS, TriggerOverrides
from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud._settings.calls import Call
from dlt_dbt_cloud._settings.checks import (
    api_v2_url,
    checked_id,
    is_loopback,
    required_id,
)
from dlt_dbt_cloud._settings.layers import Found, Given, Layer, find, misspelt
from dlt_dbt_cloud._settings.local import LocalCloud
from dlt_dbt_cloud._settings.messages import malformed, missing, redacted
from dlt_dbt_cloud._settings.places import Place, active_pipeline_name, places
from dlt_dbt_cloud._settings.spec import DBTCloudConfiguration
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

__all__ = [
    "TRIGGER_FIELDS",
    "DBTCloudConfiguration",
    "TriggerOverrides",
    "active_pipeline_name",
    "api_v2_url",
    "checked_id",
    "is_loopback",
    "malformed",
    "required_id",
    "resolve_dbt_cloud_configuration",
    "setting_docs",
    "with_dbt_cloud_configuration",
]

P = ParamSpec("P")
R = TypeVar("R")


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
        requires: Settings that must be there, beside the token. `job_name` may stand for `job_id`.
        arguments: Settings that win over `credentials`. None means not given.

    Raises:
        InvalidCredentialsException: Settings are missing or malformed: all of them, in one message.
    """
    if not isinstance(credentials, DBTCloudConfiguration | ConfigValueSentinel | None):
        raise malformed("credentials", "a DBTCloudConfiguration", type(credentials))
    passed = Given("the arguments", {k: v for k, v in arguments.items() if v is not None})
    del arguments  # a traceback may show locals
    own = credentials if isinstance(credentials, DBTCloudConfiguration) else None
    is_final = own is not None and own.is_resolved()
    looked_in = [] if is_final else places(pipeline_name or active_pipeline_name())
    layers: list[Layer] = [
        passed,
        Given("`credentials`", own.explicit() if own else {}),
        *looked_in,
    ]
    fields = DBTCloudConfiguration.get_resolvable_fields()
    for warning in misspelt(fields, looked_in):
        logger.warning("%s", warning)
    found = find(fields, layers)
    local = LocalCloud.from_environment()
    config = _checked(found, layers, local, requires)
    if local and not is_final:
        logger.info("Using job %s of %s", config.job_id, local)
    if "job_id" in requires and not local:
        name = "job_id" if config.job_id else "job_name"
        line = f"`{name}` is {config[name]!r}, from {found.layers[name]}"
        logger.info("%s", redacted(line, [config.api_token]))
    return config


def _checked(
    found: Found, layers: Sequence[Layer], local: LocalCloud | None, requires: Sequence[str]
) -> DBTCloudConfiguration:
    """Returns the settings that were found, those of the local dbt Cloud over them."""
    problems = []
    try:
        if local:
            local.override(found, layers)
        config = DBTCloudConfiguration(**found.values)
        config.resolve()
    except InvalidCredentialsException as error:
        problems.append(str(error))
    problems += found.problems()
    if absent := found.absent(["api_token", *requires]):
        problems.append(str(missing(absent, [it for it in layers if isinstance(it, Place)])))
    if problems:
        raise InvalidCredentialsException(redacted("\n".join(problems), _tokens(layers)))
    return config


def _tokens(layers: Sequence[Layer]) -> Iterator[str]:
    """Yields all tokens, also those that others win over."""
    hint = DBTCloudConfiguration.get_resolvable_fields()["api_token"]
    found = (layer.get("api_token", hint) for layer in layers)
    return (it for it in found if isinstance(it, str))


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

    What dlt's `with_config` does, with these differences: what the caller passes wins over the
    files, also field by field in `credentials` and as `**overrides: Unpack[TriggerOverrides]`; the
    section of the pipeline whose `load_info` is passed wins, else that of the active pipeline; and
    it may be called from any thread.

    Args:
        function: The function.
        requires: Settings that must be there, beside the token.
    """
    if function is None:
        return functools.partial(_configured, requires=requires)
    return _configured(function, requires=requires)


def _configured(function: Callable[P, R], *, requires: Sequence[str]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        call = Call(function, args, kwargs)
        del args, kwargs  # a traceback may show locals
        pipeline, load_info = call.get("pipeline"), call.get("load_info")
        if load_info is not None:
            pipeline = Load.of(load_info)
        call.inject(
            resolve_dbt_cloud_configuration(
                call.get("credentials"),
                pipeline_name=pipeline.pipeline_name if pipeline else None,
                requires=requires,
                **call.settings(DBTCloudConfiguration.get_resolvable_fields()),
            )
        )
        result: R = call.carry_out(function)
        return result

    return wrapper
