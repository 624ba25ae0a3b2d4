"""Where settings come from, and what malformed ones get."""

from collections.abc import Callable
from typing import Any

import dlt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudConfiguration, InvalidCredentialsException
from dlt_dbt_cloud.configuration import (
    TRIGGER_FIELDS,
    api_v2_url,
    resolve_dbt_cloud_configuration,
)
from tests.utils import configured

FILE = """
[dbt_cloud]
api_token = "token of the file"
account_id = 1
job_id = 77
raise_on_failure = true

[flights.dbt_cloud]
job_id = 88
"""
resolve = resolve_dbt_cloud_configuration


class TestPrecedence:
    """Argument, then the pipeline's section, then `[dbt_cloud]`, then the default."""

    def test_file(self, secrets_toml: Callable[[str], None]) -> None:
        """`[dbt_cloud]` in secrets.toml is enough, and ids may be numbers there."""
        secrets_toml(FILE.replace(" of the file", ""))
        config = resolve()
        assert (config.api_token, config.account_id, config.job_id) == ("token", "1", "77")

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`DBT_CLOUD__*` in the environment is enough, lists are JSON there."""
        monkeypatch.setenv("DBT_CLOUD__API_TOKEN", "t")
        monkeypatch.setenv("DBT_CLOUD__STEPS_OVERRIDE", '["dbt seed", "dbt build"]')
        assert resolve().steps_override == ["dbt seed", "dbt build"]

    def test_active_pipeline(
        self, secrets_toml: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The section of the active pipeline beats the general one, wherever either stands."""
        secrets_toml(FILE.replace(" of the file", ""))
        monkeypatch.setenv("DBT_CLOUD__JOB_ID", "99")
        assert resolve().job_id == "99"
        dlt.pipeline("flights", pipelines_dir="pipelines")
        assert resolve().job_id == "88"

    def test_argument(self, secrets_toml: Callable[[str], None]) -> None:
        """An argument beats `credentials`, and each field of these beats the files."""
        secrets_toml(FILE)
        credentials = DBTCloudConfiguration(api_token="z", job_id="5")
        config = resolve(credentials, job_id=6)
        assert (config.api_token, config.account_id, config.job_id) == ("z", "1", "6")

    def test_passed_default(self, secrets_toml: Callable[[str], None]) -> None:
        """A field that is passed beats the files also where it is passed with its default."""
        secrets_toml(FILE)
        assert resolve(DBTCloudConfiguration(api_token="z")).raise_on_failure is True
        credentials = DBTCloudConfiguration(api_token="z", raise_on_failure=False)
        assert resolve(credentials).raise_on_failure is False

    def test_field_set_later(self, secrets_toml: Callable[[str], None]) -> None:
        """A field that is set after the credentials were made beats the files too."""
        secrets_toml(FILE)
        credentials = DBTCloudConfiguration(api_token="z")
        credentials.job_id = "5"
        assert resolve(credentials.copy()).job_id == "5"

    def test_resolved_credentials_are_final(self, secrets_toml: Callable[[str], None]) -> None:
        """Settings that were resolved once are not mixed with others later."""
        final = configured(job_id=None)
        secrets_toml(FILE)
        assert resolve(final).job_id is None

    def test_passed_name_beats_id_of_the_file(self, secrets_toml: Callable[[str], None]) -> None:
        """A job that is passed by name is not replaced by one that is configured by id."""
        secrets_toml(FILE.replace(" of the file", ""))
        config = resolve(job_name="Nightly")
        assert (config.job_name, config.job_id) == ("Nightly", None)

    def test_nearest_way_to_name_the_job(self, secrets_toml: Callable[[str], None]) -> None:
        """A name beats an id that is configured further away, and the other way round."""
        by_name = FILE.replace(" of the file", "").replace("job_id = 88", 'job_name = "Nightly"')
        secrets_toml(by_name)
        assert resolve().job_id == "77"
        dlt.pipeline("flights", pipelines_dir="pipelines")
        assert (resolve().job_name, resolve().job_id) == ("Nightly", None)
        assert resolve(job_id=5).job_id == "5"
        assert resolve(DBTCloudConfiguration(job_id="5"), job_name="X").job_id is None
        assert resolve(DBTCloudConfiguration(job_name="X"), job_id=5).job_id == "5"

    def test_bare_names_are_not_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`PROJECT_ID` in the environment belongs to somebody else."""
        monkeypatch.setenv("PROJECT_ID", "my-gcp-project")
        assert resolve(api_token="t").project_id is None

    def test_credentials_of_another_type(self) -> None:
        """Credentials that are no `DBTCloudConfiguration` are refused, and not shown."""
        with pytest.raises(InvalidCredentialsException, match="DBTCloudConfiguration") as caught:
            resolve({"api_token": "s3cret-token"})
        assert "s3cret-token" not in str(caught.value)


class TestMissing:
    """A missing setting names itself, the places that were looked in and the TOML to write."""

    def test_no_token(self) -> None:
        """Without a token there is an error before any request."""
        with pytest.raises(InvalidCredentialsException) as caught:
            resolve()
        message = str(caught.value)
        assert "`api_token` is missing" in message
        assert "DBT_CLOUD__API_TOKEN (Environment Variables)" in message
        assert "dbt_cloud.api_token (secrets.toml)" in message
        assert '[dbt_cloud]\napi_token = "..."' in message

    @pytest.mark.usefixtures("dlt_world")
    def test_pipeline_section_is_named(self) -> None:
        """With an active pipeline its section is among the places, first."""
        dlt.pipeline("flights", pipelines_dir="pipelines")
        with pytest.raises(InvalidCredentialsException) as caught:
            resolve()
        message = str(caught.value)
        assert message.index("flights.dbt_cloud.api_token") < message.index(" dbt_cloud.api_token")


class TestToken:
    """White space around the token is nobody's mistake; other characters are."""

    @pytest.mark.parametrize("token", ["t0ken\n", "  t0ken", "\tt0ken\r\n"])
    def test_white_space(self, token: str) -> None:
        """Files and shells add white space: it is trimmed."""
        assert resolve(api_token=token).api_token == "t0ken"

    @pytest.mark.parametrize("token", ["Token abc", "Bearer abc", "ab\ncd", "tökèn", "a\x00b"])
    def test_impossible_characters(self, token: str) -> None:
        """A token that can't be a header is refused, without showing it."""
        with pytest.raises(InvalidCredentialsException, match="alone") as caught:
            resolve(api_token=token)
        assert token not in str(caught.value)


class TestValidation:
    """A malformed setting is refused before any request, with its name and what it should be."""

    @pytest.mark.parametrize("name", ["account_id", "job_id", "project_id", "run_id"])
    @pytest.mark.parametrize(
        "value", ["abc", "1.5", -1, "0", True, "\uff11\uff12", "9" * 19, "1/../2"]
    )
    def test_ids(self, name: str, value: object) -> None:
        """An id is an int or digits; anything else could end up in a URL."""
        with pytest.raises(
            InvalidCredentialsException, match=f"Invalid `{name}`: .*Expected the numeric id"
        ):
            configured(**{name: value})

    @pytest.mark.parametrize("value", [70403110257794, "70403110257794", " 70403110257794 "])
    def test_long_ids(self, value: object) -> None:
        """Newer accounts have ids of 14 digits."""
        assert configured(run_id=value).run_id == "70403110257794"

    @pytest.mark.parametrize(
        "name", ["wait_seconds", "wait_timeout", "outage_timeout", "retry_failed"]
    )
    @pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "10 s", True])
    def test_numbers(self, name: str, value: object) -> None:
        """Seconds and times are numbers, zero or more."""
        kind = "whole number" if name == "retry_failed" else "number"
        with pytest.raises(
            InvalidCredentialsException, match=rf"Invalid `{name}`: .*\. Expected a {kind} >= 0\."
        ):
            configured(**{name: value})

    @pytest.mark.parametrize("name", ["request_timeout", "max_artifact_bytes"])
    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", True])
    def test_positive_numbers(self, name: str, value: object) -> None:
        """A limit of nothing would end every call."""
        kind = "whole number" if name == "max_artifact_bytes" else "number"
        with pytest.raises(
            InvalidCredentialsException, match=rf"`{name}`: .*Expected a {kind} > 0"
        ):
            configured(**{name: value})

    def test_whole_numbers(self) -> None:
        """Times and bytes are whole numbers: half a retry fails before the job runs."""
        with pytest.raises(InvalidCredentialsException, match=r"1\.5\. Expected a whole number"):
            configured(retry_failed=1.5)
        assert repr(configured(retry_failed=1.0).retry_failed) == "1"

    @pytest.mark.parametrize("steps", ["dbt build", [1], {"dbt build": 1}])
    def test_steps(self, steps: object) -> None:
        """One string instead of a list is refused, else each letter would be a step."""
        with pytest.raises(InvalidCredentialsException, match=r'e\.g\. \["dbt build"\]'):
            configured(steps_override=steps)

    def test_steps_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same from the environment, where dlt can't read it as a list."""
        monkeypatch.setenv("DBT_CLOUD__STEPS_OVERRIDE", "dbt build")
        with pytest.raises(InvalidCredentialsException, match=r'e\.g\. \["dbt build"\]'):
            configured()

    def test_wrong_type_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A value that dlt can't read as the setting's type is named with its setting."""
        monkeypatch.setenv("DBT_CLOUD__WAIT_SECONDS", "ten")
        with pytest.raises(
            InvalidCredentialsException,
            match=r"Invalid `wait_seconds`: 'ten'\. Expected a number >= 0\.",
        ):
            configured()


HOSTS = st.sampled_from(
    ["ab123.us1.dbt.com", "cloud.getdbt.com", "AB123.EU1.dbt.com", "dbt.x:8443"]
)


class TestBaseApiUrl:
    """`base_api_url` takes what people have at hand, and refuses what would leak the token."""

    @given(
        host=HOSTS,
        scheme=st.sampled_from(["", "https://", "HTTPS://"]),
        path=st.sampled_from(["", "/api", "/api/v2"]),
        slash=st.sampled_from(["", "/"]),
        space=st.sampled_from(["", " ", "\n"]),
    )
    def test_every_spelling_is_the_same(
        self, host: str, scheme: str, path: str, slash: str, space: str
    ) -> None:
        """Host or URL, with or without path, slash and white space: one base of all requests."""
        url = api_v2_url(f"{space}{scheme}{host}{path}{slash}{space}")
        assert url == f"https://{host.lower()}/api/v2" == api_v2_url(url)

    def test_prefix(self) -> None:
        """A path before `/api`, as behind a company's gateway, stays."""
        assert api_v2_url("https://x.y/dbt/api") == "https://x.y/dbt/api/v2"

    @pytest.mark.parametrize(
        "url",
        [
            *("", "https://", "https://.", "ab 1.dbt.com", "<access URL>", "ab.dbt.com/deploy/1"),
            *("https://a:b@x.y", "x.y?a=1", "x.y#/b", "x:y:z", "x:65536", "x.y/a\nb/api", "[x.y]"),
        ],
    )
    def test_no_host(self, url: str) -> None:
        """What is no host, or has more than a host, is refused with an example."""
        with pytest.raises(InvalidCredentialsException, match="access URL of the account"):
            api_v2_url(url)

    def test_password_is_not_shown(self) -> None:
        """A password in the URL is refused and not shown."""
        with pytest.raises(InvalidCredentialsException) as caught:
            api_v2_url("https://user:pa55@ab123.us1.dbt.com")
        assert "pa55" not in str(caught.value)

    @pytest.mark.parametrize("url", ["http://ab123.us1.dbt.com", "http://10.0.0.1", "ftp://x.y"])
    def test_plain_http(self, url: str) -> None:
        """The token does not travel in plain text."""
        with pytest.raises(InvalidCredentialsException, match="would expose the token"):
            api_v2_url(url)

    @pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:80", "[::1]:8080"])
    def test_plain_http_on_this_machine(self, host: str) -> None:
        """A server on this machine may have plain http."""
        assert api_v2_url(f"http://{host}/") == f"http://{host}/api/v2"


class TestTriggerRequest:
    """The body of the trigger request: configured overrides, and `data` over them."""

    def test_every_field_is_a_setting(self) -> None:
        """Each field of the API's request can be configured and is sent."""
        settings: dict[str, Any] = {n: 1 for n in TRIGGER_FIELDS if n.endswith("_id")}
        settings |= {"threads_override": 2, "timeout_seconds_override": 3}
        texts = ["cause", "git_branch", "schema_override", "dbt_version_override"]
        settings |= dict.fromkeys([*texts, "target_name_override"], "x")
        settings |= {"generate_docs_override": False, "steps_override": ["dbt run"]}
        assert configured(**settings).trigger_request() == settings
        assert set(settings) == {*TRIGGER_FIELDS} - {"git_sha"}

    def test_git_sha_wins_over_branch(self) -> None:
        """As in dlt's helper: a commit is more exact than a branch."""
        request = configured(git_sha="8cb0b1d", git_branch="main").trigger_request()
        assert request == {"cause": "Triggered via API", "git_sha": "8cb0b1d"}

    def test_data_wins(self) -> None:
        """`data` goes out as given, null and unknown keys too, over all settings."""
        data = {"schema_override": None, "git_branch": "dev", "job_id": 3}
        request = configured(schema_override="s", git_sha="8cb0b1d").trigger_request(data)
        assert request == {"cause": "Triggered via API", **data}

    def test_unknown_key_is_warned_of(self, log: pytest.LogCaptureFixture) -> None:
        """A misspelt override is sent, with a warning that suggests the right one."""
        configured().trigger_request({"schema_overide": "ci"})
        assert "`schema_overide` in `data`. Did you mean `schema_override`?" in log.text

    def test_unlike_key_is_warned_of(self, log: pytest.LogCaptureFixture) -> None:
        """A key that is like none lists what there is."""
        configured().trigger_request({"zzz": 1})
        assert "It knows cause, git_sha, git_branch" in log.text

    def test_known_keys_are_silent(self, log: pytest.LogCaptureFixture) -> None:
        """No warning without a reason."""
        configured().trigger_request(dict.fromkeys(TRIGGER_FIELDS, "x"))
        assert not log.records

    @pytest.mark.parametrize("data", ["cause", ["cause"], 1])
    def test_data_that_is_no_dict(self, data: object) -> None:
        """`data` that can't be a body is refused."""
        with pytest.raises(
            InvalidCredentialsException, match=r"Invalid `data`: .*Expected a dict of overrides"
        ):
            configured().trigger_request(data)  # type: ignore[arg-type]
