"""What stands for the commit of a project."""

from pathlib import Path

from dlt_dbt_cloud.local.runners.project import version_of


def test_version(tmp_path: Path) -> None:
    """It changes with the files that dbt reads, not with those that it or others write."""
    model, written = tmp_path / "models" / "m.sql", tmp_path / "target" / "m.sql"
    for path in (model, written):
        path.parent.mkdir()
        path.write_text("select 1")
    before = version_of(tmp_path)
    assert len(before) == 40
    written.write_text("select 2")
    (tmp_path / "shop.duckdb").write_text("rows")
    (tmp_path / "models" / "gone.sql").symlink_to("nowhere.sql")
    assert version_of(tmp_path) == before
    model.write_text("select 2")
    changed = version_of(tmp_path)
    model.rename(tmp_path / "models" / "n.sql")
    assert len({before, changed, version_of(tmp_path)}) == 3
