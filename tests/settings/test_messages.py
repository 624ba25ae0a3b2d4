"""What people are told about their settings: all at once, where they are, and never a token."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from dlt_dbt_cloud import DBTCloudConfiguration, InvalidCredentialsException
from dlt_dbt_cloud.configuration import (
    resolve_dbt_cloud_configuration,
    with_dbt_cloud_configuration,
)
from tests.utils import TOKEN

FILE = """
[dbt_cloud]
api_token = "t"
job_id = 77

[flights.dbt_cloud]
job_id = 88
"""
resolve = resolve_dbt_cloud_configuration
Write = Callable[[str], None]


class TestAtOnce:
    """All that is missing or malformed is reported in one exception."""

    def test_all_problems(self, secrets_toml: Write) -> None:
        """Missing and malformed settings are named together, with the TOML for those missing."""
        secrets_toml('[dbt_cloud]\nwait_timeout = -1\nreuse_queued = "perhaps"')
        with pytest.raises(InvalidCredentialsException) as caught:
            resolve(account_id="x", requires=("account_id", "job_id"))
        message = str(caught.value)
        assert "Invalid `wait_timeout`: -1.0. Expected a number >= 0." in message
        assert "Invalid `reuse_queued`: 'perhaps'. Expected true or false." in message
        assert "Invalid `account_id`: 'x'. Expected the numeric id" in message
        assert "`api_token` and `job_id` are missing. Looked in:\n" in message
        assert message.endswith('[dbt_cloud]\napi_token = "..."\njob_id = "..."  # or job_name\n')

    def test_name_stands_for_id(self) -> None:
        """A job that is named needs no id."""
        assert resolve(api_token="t", job_name="Nightly", requires=("job_id",)).job_id is None

    def test_token_in_config_toml(self, dlt_world: Path) -> None:
        """A token in a file that is not for secrets is refused, and not shown."""
        (dlt_world / ".dlt" / "config.toml").write_text(f'[dbt_cloud]\napi_token = "{TOKEN}"')
        Container()[PluggableRunContext].reload(str(dlt_world))
        with pytest.raises(InvalidCredentialsException, match="Move it to secrets") as caught:
            resolve()
        assert TOKEN not in str(caught.value)


class TestSections:
    """What a section can't mean is told, and where the job comes from."""

    def test_misspelt(self, secrets_toml: Write, log: pytest.LogCaptureFixture) -> None:
        """A misspelt setting is a warning with the nearest name, in each section."""
        table = "[flights.dbt_cloud]\nacount_id = 1\nx = {job_i = 1}"
        secrets_toml(f"[dbt_cloud]\njobid = 1\n{table}")
        resolve(api_token="t", pipeline_name="flights")
        first, second = (record.getMessage() for record in log.records)
        assert first.startswith("Unknown setting `acount_id` in [flights.dbt_cloud] (secrets.toml)")
        assert first.endswith(". Did you mean `account_id`?")
        assert second.startswith("Unknown setting `jobid` in [dbt_cloud] (secrets.toml). Did you")

    def test_misspelt_variable(
        self, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        """A misspelt setting in the environment is a warning too."""
        monkeypatch.setenv("DBT_CLOUD__RETRY_FAILD", "1")
        resolve(api_token="t")
        warning = (
            "`retry_faild` in [dbt_cloud] (Environment Variables). Did you mean `retry_failed`?"
        )
        assert warning in log.text

    def test_known_settings_are_silent(
        self, secrets_toml: Write, log: pytest.LogCaptureFixture
    ) -> None:
        """Settings that exist cause no warning."""
        secrets_toml(FILE)
        resolve(DBTCloudConfiguration(account_id="5"), pipeline_name="flights")
        assert not log.records

    def test_resolved_settings_are_silent(
        self, secrets_toml: Write, log: pytest.LogCaptureFixture
    ) -> None:
        """Sections are not looked in again for settings that were resolved."""
        secrets_toml(FILE)
        final = resolve()
        secrets_toml("[dbt_cloud]\njobid = 1")
        assert resolve(final).job_id == "77"
        assert not log.records

    def test_name_beside_id(self, secrets_toml: Write) -> None:
        """Two ways to name the job in one section are an error, unless a nearer one wins."""
        secrets_toml('[dbt_cloud]\njob_id = 1\njob_name = "Nightly"')
        with pytest.raises(InvalidCredentialsException, match="`job_id` and `job_name` are both"):
            resolve(api_token="t")
        assert resolve(api_token="t", job_id=5).job_id == "5"

    @pytest.mark.parametrize(
        ("nearer", "other"), [("git_sha", "git_branch"), ("git_branch", "git_sha")]
    )
    def test_nearest_commit(self, secrets_toml: Write, nearer: str, other: str) -> None:
        """A branch beats a commit that is configured further away, and the other way round."""
        secrets_toml(f'[dbt_cloud]\n{other} = "far"')
        request = resolve(api_token="t", **{nearer: "near"}).trigger_request()
        assert request == {"cause": "Triggered via API", nearer: "near"}

    def test_where_the_job_comes_from(
        self, secrets_toml: Write, log: pytest.LogCaptureFixture
    ) -> None:
        """The log says from which section a job comes, if a job is required."""
        secrets_toml(FILE)
        resolve(pipeline_name="flights")
        resolve(pipeline_name="flights", requires=("job_id",))
        resolve(job_id=5, requires=("job_id",))
        assert [record.getMessage() for record in log.records] == [
            "`job_id` is '88', from [flights.dbt_cloud] (secrets.toml)",
            "`job_id` is '5', from the arguments",
        ]


class TestSecrets:
    """No message shows a token, wherever it was pasted."""

    @pytest.mark.parametrize("token", [TOKEN, "01234567'\\89abcdef"])
    @pytest.mark.parametrize("passed", [{}, {"api_token": "another-token"}])
    @pytest.mark.parametrize(
        "name", ["job_id", "wait_seconds", "steps_override", "reuse_queued", "threads_override"]
    )
    def test_pasted_elsewhere(
        self, name: str, passed: dict[str, str], token: str, secrets_toml: Write
    ) -> None:
        """The token of any layer is hidden in the message about another setting."""
        secrets_toml(f"[dbt_cloud]\napi_token = '''{token}'''")
        settings = {**passed, name: f"x {token}"}
        with pytest.raises(InvalidCredentialsException, match=f"Invalid `{name}`") as caught:
            resolve(**settings)
        assert "***" in str(caught.value)
        assert token[:8] not in str(caught.value)

    def test_pasted_instead(self) -> None:
        """A token of dbt Cloud is hidden by its prefix where it is no configured token."""
        with pytest.raises(InvalidCredentialsException, match=r"Invalid `job_id`: '\*\*\*'"):
            resolve(api_token="t", job_id=TOKEN)

    @pytest.mark.parametrize("token", [TOKEN, "0123456789ABCDEF"])
    def test_pasted_into_the_host(self, token: str) -> None:
        """A token is no host: name servers would see it."""
        with pytest.raises(InvalidCredentialsException, match="contains a token") as caught:
            resolve(api_token=token, base_api_url=f"{token}.us1.dbt.com")
        assert token.lower() not in str(caught.value).lower()

    def test_locals(self) -> None:
        """A traceback with the locals of our frames does not show the token."""

        @with_dbt_cloud_configuration
        def function(api_token: str = "", *, wait_seconds: float = 1) -> None:
            """Takes a token."""

        arguments = {"wait_seconds": -1}
        with pytest.raises(InvalidCredentialsException) as caught:
            function(TOKEN, **arguments)
        report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert TOKEN not in "".join(report.format())
