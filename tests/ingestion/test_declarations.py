"""Declarations: what is read, and that every slip is named with its place and the right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion import declarations, ledger
from ingestion.sources import Declarations

GOOD = """\
sources:
  - name: crm
    config:
      meta:
        ingest:
          connector: sftp
          connection: {host: "${HOST:-127.0.0.1}", port: 22}
          format: {type: csv, delimiter: ";"}
    tables:
      - name: contacts
        config:
          meta:
            ingest:
              location: drop/contacts*.csv
              format: {quote: "'"}
              key: [ContactID]
              newest_by: ModifiedOn
        columns:
          - name: ContactID
            data_type: varchar
            config: {meta: {aliases: [Contact_ID], required: true, pii: true}}
          - name: ModifiedOn
            data_type: timestamp
            config: {meta: {format: "%d.%m.%Y %H:%M"}}
      - name: not_ours
        config: {meta: {}}
        columns: [{name: x}]
      - name: also_not_ours
  - name: elsewhere
    tables: [{name: t}]
"""


def read(folder: Path, text: str) -> Declarations:
    (folder / "crm").mkdir(exist_ok=True)
    (folder / "crm" / "_crm.yml").write_text(text)
    return declarations.read(folder)


def test_a_table_takes_its_sources_defaults_key_by_key_and_others_are_left_alone(tmp_path):
    found = read(tmp_path, GOOD)
    assert found.problems == ()
    # `not_ours` and `also_not_ours` inherit a default, but only a table's own block makes it ours.
    (contacts,) = found.tables
    assert (contacts.source, contacts.name, contacts.schema) == ("crm", "contacts", "raw_crm")
    assert contacts.ingest is not None
    assert contacts.ingest.connector == "sftp"
    assert contacts.ingest.connection == {"host": "${HOST:-127.0.0.1}", "port": "22"}
    assert (contacts.ingest.format.delimiter, contacts.ingest.format.quote) == (";", "'")
    assert contacts.ingest.key == ("ContactID",)
    assert contacts.columns[0].aliases == ("Contact_ID",)
    assert contacts.columns[0].required
    assert contacts.columns[1].formats == ("%d.%m.%Y %H:%M",)


@pytest.mark.parametrize(
    ("was", "becomes", "line", "says"),
    [
        ("              location:", "              locaton:", 14, "did you mean `location`?"),
        ("connector: sftp", "connector: stfp", 6, "did you mean `sftp`?"),
        ('{quote: "\'"}', "{delimeter: x}", 15, "did you mean `delimiter`?"),
        ("{host:", "{hots:", 7, "did you mean `host`?"),
        ("key: [ContactID]", "key: [ContactId]", 16, "did you mean `ContactID`?"),
        ("newest_by: ModifiedOn", "mode: overwrite", 17, "none of append, upsert"),
        ("aliases: [Contact_ID]", "alias: [Contact_ID]", 21, "did you mean `aliases`?"),
        ("            data_type: timestamp\n", "", 22, "needs a `data_type`"),
        ("- name: ModifiedOn", "- name: contactid", 22, "declared twice"),
        ("- name: ModifiedOn", "- name: _origin", 22, "keeps for itself"),
        ('{quote: "\'"}', "{encoding: utf-99}", 15, "no encoding is called utf-99"),
        ('{quote: "\'"}', "{header: maybe}", 15, "true or false"),
    ],
)
def test_a_slip_is_named_with_its_line_and_the_nearest_right_word(
    tmp_path, was, becomes, line, says
):
    assert was in GOOD
    found = read(tmp_path, GOOD.replace(was, becomes))
    (problem,) = found.problems
    assert says in problem.message
    assert (problem.source, problem.table, problem.path.name) == ("crm", "contacts", "_crm.yml")
    assert problem.line == line
    # Its columns still come, so that its empty raw table can be made; it is not loaded.
    (contacts,) = found.tables
    assert contacts.ingest is None
    assert contacts.columns


def test_one_unreadable_file_does_not_hide_the_others(tmp_path):
    (tmp_path / "_broken.yml").write_text("sources:\n  - name: [\n")
    found = read(tmp_path, GOOD)
    assert [table.name for table in found.tables] == ["contacts"]
    (problem,) = found.problems
    assert problem.path.name == "_broken.yml"
    assert problem.line
    assert "not readable YAML" in problem.message


def test_a_type_that_duckdb_does_not_know_is_a_problem_and_the_table_is_made(tmp_path, con):
    found = read(tmp_path, GOOD.replace("data_type: timestamp", "data_type: timestmp); drop --"))
    assert found.problems == ()
    (problem,) = ledger.ensure(con, found.tables)
    assert "timestmp" in problem.message
    assert problem.line == 22
    assert con.execute("select count(*) from raw_crm.contacts").fetchall() == [(0,)]


def test_the_declaration_hash_follows_what_decides_the_rows_and_nothing_else(tmp_path):
    def hashed(text: str) -> str:
        return read(tmp_path, text).tables[0].declaration_hash

    same = hashed(GOOD)
    assert hashed("# a comment moves every line\n" + GOOD) == same
    assert hashed(GOOD.replace("drop/contacts*", "elsewhere/*")) == same
    assert hashed(GOOD.replace("data_type: timestamp", "data_type: date")) != same
    assert hashed(GOOD.replace("%d.%m", "%m.%d")) != same
    assert hashed(GOOD.replace('delimiter: ";"', 'delimiter: ","')) != same
    assert hashed(GOOD.replace("              newest_by: ModifiedOn\n", "")) != same


DATABASE = "connection: {url: 'postgresql://me@h/d', password: '${P}'}, table: t"
HTTP = "location: 'https://a.example/b'"


@pytest.mark.parametrize(
    ("connector", "block", "says"),
    [
        ("sftp", "location: a, connection: {host: h}, settle_secnds: 1", "did you mean `settle_se"),
        ("sftp", "location: a, connection: {host: h}, settle_seconds: soon", "a whole number"),
        (
            "sftp",
            "location: a, connection: {host: h}, after: move",
            "none of keep, archive, delete",
        ),
        ("sftp", "location: a, connection: {host: h}, archive: x", "`after: archive`: give that"),
        ("sftp", "location: a, connection: {host: h, password: x}", "`password` is a secret"),
        ("sftp", "location: a", "needs `connection.host`"),
        ("database", "table: t", "needs `connection.url`"),
        ("database", DATABASE + ", query: select 1", "either `table` or `query`"),
        ("database", DATABASE + ", location: x", "has no `location`"),
        ("database", DATABASE + ", tabel: t", "did you mean `table`?"),
        ("database", DATABASE + ", format: {type: csv}", "leave `format` out"),
        ("database", "connection: {url: 'postgres://u:secret@h/d'}, table: t", "stands in `url`"),
        (
            "database",
            "connection: {url: 'postgrsql://h/d'}, table: t",
            "did you mean `postgresql`?",
        ),
        ("database", "connection: {url: 'mysql://h/d', password: '${P:-x}'}, table: t", "a secret"),
        ("database", DATABASE + ", cursor: {column: at}", "give a `key`"),
        ("database", DATABASE + ", key: id, cursor: {column: att}", "did you mean `at`?"),
        ("database", DATABASE + ", key: id, cursor: {column: at, lookback: 2h}", '"2 hours"'),
        ("database", DATABASE + ", key: id, cursor: {colum: at}", "did you mean `column`?"),
        ("warehouse", "location: people", "`location` is schema.table"),
        ("warehouse", "location: a.b, query: x", "unknown key `query`"),
        ("http", "location: a", "`location` is a URL"),
        ("http", HTTP + ", pages: {style: curser}", "did you mean `cursor`?"),
        ("http", HTTP + ", pages: {style: cursor}", "needs `next`"),
        ("http", HTTP + ", pages: {style: offset}", "needs `size`"),
        ("http", HTTP + ", pages: {size: 5}", "needs a `style`"),
        ("http", HTTP + ", since_param: a", "`since_param` and `cursor` go together"),
        ("http", HTTP + ", connection: {auth: 'Bearer x'}", "`auth` is a secret"),
        ("http", HTTP + ", max_pages: many", "a whole number"),
        ("http", HTTP + ", params: {a: [1]}", "a text or a number"),
    ],
)
def test_every_connector_checks_its_own_keys(tmp_path, connector, block, says):
    found = read(
        tmp_path,
        f"""
sources:
  - name: crm
    tables:
      - name: t
        config: {{meta: {{ingest: {{connector: {connector}, {block}}}}}}}
        columns: [{{name: id, data_type: integer}}, {{name: at, data_type: timestamp}}]
""",
    )
    assert [says in problem.message for problem in found.problems] == [True], found.problems
    assert found.problems[0].line in (6, 7)
