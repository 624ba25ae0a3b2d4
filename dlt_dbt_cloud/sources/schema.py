"""The tables that the dlt source loads: names, keys and columns.

dbt_cloud_runs ─┬─ dbt_cloud_run_loads     the loads that a run was triggered for
                ├─ dbt_cloud_run_steps ─┬─ dbt_cloud_node_results
                │                       └─ dbt_cloud_source_freshness
                └─ dbt_cloud_nodes ─────┬─ dbt_cloud_node_parents
                      by `manifest_id`  └─ dbt_cloud_node_sources
"""

from typing import Final

from dlt_dbt_cloud.sources.tables import Table

RUNS: Final = Table(
    "dbt_cloud_runs",
    ("run_id",),
    {
        "run_id": ("bigint", "The run."),
        "account_id": ("bigint", "Account of the job."),
        "project_id": ("bigint", "Project of the job."),
        "environment_id": ("bigint", "Environment that the job runs in."),
        "job_id": ("bigint", "The job."),
        "job_name": ("text", "Name of the job when the run was loaded."),
        "status": ("bigint", "10 success, 20 error, 30 cancelled; below 10 it was in progress."),
        "status_name": ("text", "The status in a word."),
        "status_message": ("text", "What dbt Cloud says about the end of the run."),
        "created_at": ("timestamp", "When the run was triggered."),
        "started_at": ("timestamp", "When it began, null if it was cancelled in the queue."),
        "finished_at": ("timestamp", "When it ended."),
        "queued_seconds": ("double", "From the trigger to the start."),
        "run_seconds": ("double", "From the start to the end."),
        "dbt_version": ("text", "Version or release track of dbt."),
        "git_branch": ("text", "Branch that was checked out."),
        "git_sha": ("text", "Commit that was checked out."),
        "cause": ("text", "Cause given in the trigger."),
        "cause_category": ("text", "dbt Cloud's category of the cause, e.g. api, scheduled, ui."),
        "retrying_run_id": ("bigint", "The failed run that this one continues."),
        "pipeline_name": ("text", "The dlt pipeline that the run was triggered for."),
        "dataset_name": ("text", "The dataset that the pipeline loaded."),
        "load_ids": ("json", "Ids of its loads, as in `_dlt_loads`, as far as the cause has them."),
        "are_load_ids_complete": ("bool", "False if the cause was cut within the ids."),
        "url": ("text", "The page of the run in dbt Cloud."),
        "project_name": ("text", "Name of the project."),
        "environment_name": ("text", "Name of the environment."),
        "error": ("text", "Why the run failed, if it failed before any node."),
        "manifest_id": ("text", "The version of the project, as in `dbt_cloud_nodes`."),
        "load_error": ("text", "Which details could not be loaded, and why."),
        "error_kind": ("text", "What failed before the first node, e.g. deps, parse, profile."),
        "error_file": ("text", "The file that the error is about, if dbt names one."),
        "error_line": ("bigint", "The line in that file, if dbt names one."),
    },
)
RUN_LOADS: Final = Table(
    "dbt_cloud_run_loads",
    ("run_id", "load_id"),
    {
        "run_id": ("bigint", "The run."),
        "load_id": ("text", "A load that it was triggered for, as in `_dlt_loads`."),
        "pipeline_name": ("text", "The dlt pipeline of the load."),
        "dataset_name": ("text", "The dataset of the load, where its `_dlt_loads` is."),
    },
)
RUN_STEPS: Final = Table(
    "dbt_cloud_run_steps",
    ("run_id", "step_index"),
    {
        "run_id": ("bigint", "The run."),
        "step_index": ("bigint", "Place of the step in the run, from 1."),
        "step_id": ("bigint", "Id of the step in dbt Cloud."),
        "name": ("text", "What the step did, e.g. Invoke dbt with `dbt build`."),
        "status": ("bigint", "10 success, 20 error, 30 cancelled."),
        "status_name": ("text", "The status in a word."),
        "started_at": ("timestamp", "When the step began."),
        "finished_at": ("timestamp", "When it ended."),
        "step_seconds": ("double", "How long it took."),
        "command": ("text", "The dbt command, if it was one."),
        "error": ("text", "The end of its log, if it failed."),
    },
)
NODE_RESULTS: Final = Table(
    "dbt_cloud_node_results",
    ("run_id", "step_index", "unique_id"),
    {
        "run_id": ("bigint", "The run."),
        "step_index": ("bigint", "The step, as in `dbt_cloud_run_steps`."),
        "unique_id": ("text", "dbt's id of the node, e.g. model.flights.routes."),
        "resource_type": ("text", "model, test, seed, snapshot, operation, ..."),
        "name": ("text", "Name of the node."),
        "status": ("text", "success, error, skipped, pass, fail, warn, ... as dbt has it."),
        "message": ("text", "What the database or dbt says about it."),
        "rows_affected": ("bigint", "Rows that were written, if the dbt adapter says so."),
        "failures": ("bigint", "Rows that failed the test."),
        "execution_time": ("double", "Seconds that dbt spent on the node."),
        "started_at": ("timestamp", "When dbt began with it, null if it was skipped."),
        "finished_at": ("timestamp", "When dbt was done with it."),
        "relation_name": ("text", "The table or view, quoted as in SQL."),
        "adapter_response": ("json", "What else the adapter says, e.g. bytes_processed."),
        "command": ("text", "dbt command of the step: build, run, test, seed, snapshot, ..."),
        "invocation_id": ("text", "dbt's id of the step's invocation."),
        "thread_id": ("text", "The thread of dbt that ran it."),
        "compile_finished_at": ("timestamp", "When it was compiled."),
        "execute_started_at": ("timestamp", "When dbt began to execute it."),
        "code": ("text", "The adapter's name for what was done, e.g. INSERT."),
        "bytes_processed": ("bigint", "Bytes that were read, if the adapter says so."),
        "attached_node": ("text", "The node that a test is about."),
        "materialization": ("text", "view, table, incremental, ephemeral, ..."),
        "path": ("text", "File of the node in the project."),
        "tags": ("json", "Its tags."),
        "severity": ("text", "Severity of a test: error or warn."),
    },
)
NODES: Final = Table(
    "dbt_cloud_nodes",
    ("manifest_id", "unique_id"),
    {
        "manifest_id": ("text", "The version of the project, as in `dbt_cloud_runs`."),
        "unique_id": ("text", "dbt's id of the node, e.g. model.flights.routes."),
        "resource_type": ("text", "model, test, seed, snapshot, source, exposure, ..."),
        "name": ("text", "Name of the node."),
        "package_name": ("text", "The dbt package."),
        "path": ("text", "File in the package."),
        "materialization": ("text", "view, table, incremental, ephemeral, ..."),
        "database": ("text", "Database of the node or source."),
        "schema": ("text", "Schema; for a source, dlt's dataset."),
        "identifier": ("text", "Table or view."),
        "relation_name": ("text", "Database, schema and identifier, quoted as in SQL."),
        "tags": ("json", "Its tags."),
        "severity": ("text", "Severity of a test: error or warn."),
        "attached_node": ("text", "The node that a test is about."),
        "description": ("text", "What the project says about it."),
    },
)
NODE_PARENTS: Final = Table(
    "dbt_cloud_node_parents",
    ("manifest_id", "unique_id", "parent_id"),
    {
        "manifest_id": ("text", "The version of the project."),
        "unique_id": ("text", "The node."),
        "parent_id": ("text", "A node or source that it reads."),
    },
)
NODE_SOURCES: Final = Table(
    "dbt_cloud_node_sources",
    ("manifest_id", "unique_id", "source_id"),
    {
        "manifest_id": ("text", "The version of the project."),
        "unique_id": ("text", "The node."),
        "source_id": ("text", "A source that it reads, directly or through other nodes."),
        "source_name": ("text", "Name of the source."),
        "table_name": ("text", "Name of the table in the source."),
        "database": ("text", "Database of the table."),
        "schema": ("text", "Its schema: dlt's dataset."),
        "identifier": ("text", "The table."),
    },
)
FRESHNESS: Final = Table(
    "dbt_cloud_source_freshness",
    ("run_id", "step_index", "unique_id"),
    {
        "run_id": ("bigint", "The run."),
        "step_index": ("bigint", "The step, as in `dbt_cloud_run_steps`."),
        "unique_id": ("text", "dbt's id of the source."),
        "status": ("text", "pass, warn, error or runtime error."),
        "max_loaded_at": ("timestamp", "When it was last loaded."),
        "snapshotted_at": ("timestamp", "When dbt measured the freshness."),
        "age_seconds": ("double", "Age of the data at `snapshotted_at`."),
        "criteria": ("json", "Thresholds for a warning and an error."),
        "error": ("text", "Why dbt couldn't measure it."),
        "execution_time": ("double", "Seconds that dbt spent on it."),
    },
)
OF_MANIFEST: Final = (NODES, NODE_PARENTS, NODE_SOURCES)
"""The tables that are filled from manifests."""
