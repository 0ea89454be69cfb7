"""What raw tables are stored as, and the view that gives each row its delivery's labels."""

from __future__ import annotations

from ingestion import ledger


def test_rows_of_several_deliveries_show_where_each_came_from(project):
    table = project.declare({"key": ["id"]})
    project.drop("people1.csv", "id,name\n1,Ada\n2,Bo\n")
    project.drop("people2.csv", "id,name\n2,Bea\n3,Cy\n")
    first, second = project.load(table)
    assert project.rows("select id, name, _origin, _load_id from raw_crm.people order by id") == [
        (1, "Ada", "drop/people1.csv", first.load_id),
        (2, "Bea", "drop/people2.csv", second.load_id),
        (3, "Cy", "drop/people2.csv", second.load_id),
    ]
    assert project.rows("select count(_loaded_at) from raw_crm.people") == [(3,)]


def test_rows_stored_before_deliveries_had_numbers_are_set_aside_and_load_again(project):
    table = project.declare()
    project.drop("people.csv", "id,name\n1,Ada\n")
    project.load(table)
    project.con.execute("""
        drop view raw_crm.people;
        alter table ingestion."raw_crm.people" drop column _delivery;
        create view raw_crm.people as from ingestion."raw_crm.people"
    """)
    assert ledger.ensure(project.con, [table]) == ()
    assert project.rows("from raw_crm.people") == []
    (result,) = project.load(table)
    assert (result.status, result.rows_loaded) == ("loaded", 1)
    assert project.rows("select name, _origin from raw_crm.people") == [("Ada", "drop/people.csv")]


def test_rows_that_cannot_be_missed_have_no_place_for_it_and_get_one_with_snapshots(project):
    project.drop("people.csv", "id,name\n1,Ada\n2,Bo\n")
    project.load(project.declare({"key": ["id"]}))
    shown = "select id, _deleted_at is null from raw_crm.people order by id"
    assert project.rows(shown) == [(1, True), (2, True)]
    assert project.rows("select count(*) from duckdb_columns() where column_name = '_deleted_at' "
        "and schema_name = 'ingestion'") == [(0,)]  # fmt: skip
    table = project.declare({"key": ["id"], "mode": "snapshot"})
    project.load(table)
    project.drop("people.csv", "id,name\n2,Bo\n")
    project.load(table)
    assert project.rows(shown) == [(1, False), (2, True)]


def test_undeclared_values_get_a_place_when_a_file_first_has_any(project):
    table = project.declare({"key": ["id"]})
    project.drop("people1.csv", "id,name\n1,Ada\n2,Bo\n")
    project.drop("people2.csv", "id,name\n2,Bea\n")
    project.load(table)  # Bo is kept out of sight: Bea stands
    stored = "select table_name from duckdb_columns() where column_name = '_extra' and " \
        "schema_name = 'ingestion' order by all"  # fmt: skip
    assert project.rows(stored) == []
    shown = "select id, name, _extra::varchar from raw_crm.people order by id"
    assert project.rows(shown) == [(1, "Ada", None), (2, "Bea", None)]
    project.drop("people3.csv", "id,name,note\n2,Bea,three\n3,Cy,\n")
    project.load(table)
    assert project.rows(stored) == [("raw_crm.people",), ("raw_crm.people outranked",)]
    note = '{"note":"three"}'
    assert project.rows(shown) == [(1, "Ada", None), (2, "Bea", note), (3, "Cy", None)]
    project.drop("people3.csv", "id,name\n3,Cy\n")
    project.load(table)  # delivered again without her: what lost to it stands again
    assert project.rows(shown) == [(1, "Ada", None), (2, "Bea", None), (3, "Cy", None)]
