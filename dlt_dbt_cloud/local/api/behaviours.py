"""What the local dbt Cloud does, and how it knows: one row per behaviour.

It makes the header `X-Local-DBT-Cloud-Basis` of each answer, the log line at the first use of a
guess, the refusals of `strict=True`, and the table of `docs/local.md`.
"""

from __future__ import annotations

from typing import Final

from dlt_dbt_cloud.local.api.behaviour import LOCAL, Basis, Behaviour

RECORDED, SPEC, CLIENT, GUESS = Basis

BEHAVIOURS: Final = (
    # Every request
    Behaviour(
        "any",
        "Answers in an envelope with `status` and `data`; times, ids and nulls as recorded.",
        RECORDED,
        "dbt-cloud-cli tests/data, OpenMetadata test_dbtcloud.py",
    ),
    Behaviour("any.slash", "Serves a path with and without its last slash.", CLIENT, "dagster-dbt"),
    Behaviour("any.scheme", "Takes `Token` and `Bearer`.", SPEC, "openapi-v2.yaml, Authentication"),
    Behaviour(
        "any.wrong_token",
        "Refuses a wrong token: 401, `Invalid token.`",
        RECORDED,
        "OpenMetadata test_dbtcloud_connection.py",
    ),
    Behaviour("any.no_token", "Refuses no token as it does a wrong one.", GUESS, ""),
    Behaviour(
        "any.other_account",
        "Refuses another account than the token's: 403.",
        RECORDED,
        "OpenMetadata test_dbtcloud_connection.py",
    ),
    Behaviour(
        "any.not_found",
        "Answers 404 for what doesn't exist.",
        RECORDED,
        "terraform-provider-dbtcloud#207",
    ),
    Behaviour("any.other_method", "Answers 405 for a method of no operation.", GUESS, ""),
    Behaviour(
        "any.unserved",
        "Answers 501, with its name, to every other operation of API v2.",
        GUESS,
        LOCAL,
    ),
    Behaviour(
        "any.unknown_key",
        "Refuses unknown query keys: 400, in the words of jsonschema.",
        RECORDED,
        "live test of 2025-10-07",
    ),
    Behaviour("any.wrong_value", "Refuses query values of a wrong type: 400.", GUESS, ""),
    Behaviour(
        "any.include_related",
        "Reads `a,b`, `[\"a\",\"b\"]`, `['a','b']`, `a` repeated, and empty places.",
        CLIENT,
        "dbtc, dagster-dbt, dbt-mcp, plugin-dbt, Airflow's hook, prefect-dbt",
    ),
    Behaviour(
        "any.misdirected",
        "Refuses a `Host` that isn't its own (421) and writes from other origins (403).",
        GUESS,
        LOCAL,
    ),
    Behaviour(
        "any.too_large",
        "Refuses a body over 1 MiB (413), headers over 32 KiB (431), malformed HTTP (400).",
        GUESS,
        LOCAL,
    ),
    # Account, project, environment
    Behaviour("get_account", "One account, Enterprise plan.", SPEC, "Retrieve Account"),
    Behaviour("get_project", "The project of a job.", SPEC, "Retrieve Project"),
    Behaviour("get_environment", "The environment of a job.", SPEC, "Retrieve Environment"),
    # Jobs
    Behaviour(
        "list_jobs",
        "Lists the jobs by project, environment and name, in pages.",
        RECORDED,
        "OpenMetadata test_dbtcloud.py",
    ),
    Behaviour("list_jobs.limit", "Refuses a `limit` beyond 1 to 100: 400.", GUESS, ""),
    Behaviour("list_jobs.order", "Refuses an `order_by` that isn't described: 400.", GUESS, ""),
    Behaviour("get_job", "One job.", RECORDED, "OpenMetadata test_dbtcloud.py"),
    Behaviour(
        "get_job.related",
        "Includes `environment`.",
        SPEC,
        "Retrieve Job",
    ),
    Behaviour(
        "update_job",
        "Takes an update that changes nothing (a job has no schedule here), else 501.",
        CLIENT,
        "dagster-dbt v1 pauses the schedule before each trigger",
    ),
    Behaviour(
        "trigger",
        "Creates a queued run, with its trigger and job inline. Nothing is deduplicated.",
        RECORDED,
        "dbtc docs 2022-08, tests/samples/local/trigger.json",
    ),
    Behaviour("trigger.form", "Takes JSON, a form, or a multipart form.", SPEC, "Trigger Job Run"),
    Behaviour(
        "trigger.null",
        "Takes `null` for any override, and unknown keys.",
        CLIENT,
        "Airflow's hook, dbt-cloud-cli, terraform-provider-dbtcloud",
    ),
    Behaviour("trigger.no_steps", "Takes empty `steps_override` for none.", GUESS, ""),
    Behaviour("trigger.no_cause", "Refuses a trigger without a cause: 400.", GUESS, ""),
    Behaviour(
        "trigger.long_cause", "Refuses a cause of over 255 characters: 400.", GUESS, "airflow#34676"
    ),
    Behaviour(
        "trigger.wrong_value",
        "Refuses wrong types, numbers over 64 bit, NUL, lone surrogates and bad steps: 400.",
        GUESS,
        "",
    ),
    Behaviour("trigger.broken_body", "Refuses a body that doesn't parse: 400, or 413.", GUESS, ""),
    Behaviour("trigger.deactivated", "Refuses to trigger a deactivated job: 400.", GUESS, ""),
    Behaviour(
        "trigger.queue",
        "Runs the runs of one job one after the other, `blocked_by` the one that runs.",
        RECORDED,
        "OpenMetadata test_dbtcloud.py",
    ),
    Behaviour(
        "trigger.long_queue",
        "`blocked_by` of the third run of a queue and later ones names the first alone.",
        GUESS,
        "",
    ),
    Behaviour("rerun", "Triggers a run if the last one didn't fail.", SPEC, "Retry Failed Job"),
    Behaviour("rerun.cause", "The cause of such a run is `Triggered via API`.", GUESS, ""),
    Behaviour("get_job_artifact", "The artifact of the job's latest run.", SPEC, "Job Artifact"),
    # Runs
    Behaviour(
        "list_runs",
        "Lists runs, the oldest first, with filters, pages and what they were asked by.",
        RECORDED,
        "OpenMetadata test_dbtcloud.py, tests/samples/local/list_runs.json",
    ),
    Behaviour(
        "list_runs.filter",
        "Filters by JSON lists and ranges, `status__in=[1,2]`; other spellings are a 400.",
        CLIENT,
        "plugin-dbt, Airflow's hook, dbtc, dagster-dbt",
    ),
    Behaviour("list_runs.limit", "Refuses a `limit` beyond 1 to 100: 400.", GUESS, ""),
    Behaviour("list_runs.order", "Refuses an `order_by` that isn't described: 400.", GUESS, ""),
    Behaviour(
        "any.unserved_key",
        "Answers 501 to query keys that are described but no client sends.",
        GUESS,
        LOCAL,
    ),
    Behaviour(
        "get_run",
        "A run: fields, nulls, formats; related objects only if asked for.",
        RECORDED,
        "dbt-cloud-cli, OpenMetadata, tests/samples",
    ),
    Behaviour(
        "get_run.related",
        "Includes trigger, job, environment, steps and logs.",
        RECORDED,
        "dbtc, dbt-cloud-cli, tests/samples/local/run_step.json",
    ),
    Behaviour(
        "get_run.audit", "`audit` names who triggered and cancelled.", SPEC, "RunAuditResult"
    ),
    Behaviour("get_run.run_retries", "`run_retries` are the runs that retried it.", GUESS, ""),
    Behaviour(
        "get_run.debug_logs",
        "Debug logs have their last 1,000 lines unless asked for as a whole.",
        SPEC,
        "Retrieve Run",
    ),
    Behaviour("get_run.skipped", "Steps that never began are not among the steps.", GUESS, ""),
    Behaviour(
        "get_run.timeout",
        "A run that timed out has the status 30 and says so.",
        RECORDED,
        "OpenMetadata test_dbtcloud.py",
    ),
    Behaviour(
        "cancel",
        "Cancels a run: status 30, `Cancelled by user.`; one that runs, as soon as it stops.",
        RECORDED,
        "dbt-cloud-cli tests/data",
    ),
    Behaviour("cancel.finished", "Leaves a finished run as it is, and succeeds.", GUESS, ""),
    Behaviour(
        "get_failure",
        "Where a retry would start: the failed step and those after it.",
        SPEC,
        "Retrieve Run Failure Details",
    ),
    Behaviour("get_failure.commands", "The steps are named by their commands.", GUESS, ""),
    Behaviour("retry", "Creates a run that starts where another failed.", SPEC, "Retry Run"),
    Behaviour(
        "retry.cause",
        "It has the same overrides, the cause `Retry of run ID`, and calls `dbt retry`.",
        GUESS,
        "",
    ),
    Behaviour(
        "retry.refused",
        "Refuses a retry with the reason of `retry_not_supported_reason`: 400.",
        GUESS,
        "the reasons are described",
    ),
    Behaviour(
        "list_artifacts",
        "Lists the paths of the artifacts, `null` if there are none.",
        RECORDED,
        "dbt-cloud-cli tests/data, dbt-mcp#791",
    ),
    Behaviour(
        "get_artifact",
        "An artifact as it is; of the last step that has it, or of `step`.",
        CLIENT,
        "dbt-mcp, Airflow's hook, prefect-dbt",
    ),
    Behaviour(
        "get_artifact.pruned",
        "Forgets the logs and artifacts of all but the last `keep_runs` runs: 404.",
        SPEC,
        "dbt Cloud forgets them after 365 days",
    ),
    Behaviour("get_step", "A step, also while it runs.", SPEC, "Retrieve Run Step"),
    # What a test asks for
    Behaviour(
        "scene.run_slots",
        "The account has one run slot: other jobs wait, though no run of theirs is ahead.",
        SPEC,
        "docs.getdbt.com, Job scheduler",
    ),
    Behaviour(
        "scene.deactivation",
        "The job has failed 99 times in a row. It is deactivated with the next failure.",
        SPEC,
        "docs.getdbt.com, Job scheduler",
    ),
    Behaviour(
        "scene.timed_out",
        "The next run times out after 24 h: status 30.",
        RECORDED,
        "OpenMetadata test_dbtcloud.py",
    ),
    Behaviour(
        "scene.capacity",
        "The next run is cancelled before it starts, for want of capacity.",
        SPEC,
        "status.getdbt.com, 2026-02-20",
    ),
    Behaviour("scene.stuck_queue", "The next run stays queued.", CLIENT, "dbt-cloud-cli#112"),
    Behaviour(
        "scene.outage",
        "Every request is a 504 of a gateway, for 38 minutes or as long as is said.",
        SPEC,
        "status.getdbt.com, 2024-04-22 and 2026-02-04",
    ),
    Behaviour("scene.slow_api", "Every answer takes 5 s.", CLIENT, "dbt-mcp#803: p99 of 5.0 s"),
    Behaviour("fault.drop", "The connection breaks.", CLIENT, "plugin-dbt#313"),
    Behaviour("fault.html", "A gateway answers with HTML.", RECORDED, "dbt-core#2836"),
    Behaviour("fault.json", "An error in an envelope: 500.", RECORDED, "dbt-cloud-cli#95"),
    Behaviour("fault.other_json", "Another error in an envelope, also 429.", GUESS, ""),
    Behaviour("fault.not_found", "A new run is not there yet: 404.", CLIENT, "prefect#12959"),
    Behaviour("fault.lagging_list", "A list without the newest runs.", GUESS, ""),
    Behaviour("fault.late_artifacts", "Artifacts come later.", CLIENT, "plugin-dbt#275"),
    Behaviour("fault.slow", "The answer comes later.", CLIENT, "dbt-mcp#803"),
)

BY_NAME: Final = {row.name: row for row in BEHAVIOURS}


def weakest(names: list[str]) -> Behaviour:
    """Returns the weakest of the behaviours that an answer rests on, the last one of them."""
    order = list(Basis)
    return max((BY_NAME[name] for name in reversed(names)), key=lambda row: order.index(row.basis))


def table() -> str:
    """Returns the fidelity table of the docs, in Markdown."""
    lines = ["| behaviour | operation | what it does | basis | source |", "|---|---|---|---|---|"]
    for row in BEHAVIOURS:
        operation = f"`{row.method_and_path}`" if row.method_and_path else ""
        lines.append(
            f"| `{row.name}` | {operation} | {row.what} | {row.basis.value} | {row.where} |"
        )
    return "\n".join(lines)
