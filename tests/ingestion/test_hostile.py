"""The files that real companies send on bad days: nothing crashes, nothing is quietly changed."""

from __future__ import annotations

import gzip

import pytest

COLUMNS = {"id": "integer", "name": "varchar", "paid": "decimal(18,2)", "born": "date"}
HEADER = "id,name,paid,born\n"
GOOD = "".join(f"{i},name {i},{i}.50,2026-01-02\n" for i in range(1, 301))


def load(project, name: str, content: bytes | str, ingest=None):
    table = project.declare({"location": "drop/*", **(ingest or {})}, COLUMNS)
    project.drop(name, content)
    (result,) = project.load(table)
    found = "select count(*) from raw_crm.people"
    assert project.rows(found) == [(result.rows_loaded,)]
    assert result.rows_read == (
        result.rows_loaded + result.rows_duplicate + result.rows_quarantined
    )
    assert project.rows("select count(*) from ops.quarantine") == [(result.rows_quarantined,)]
    return result


@pytest.mark.parametrize("cut", [0.0, 0.1, 0.5, 0.93, 0.999])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_anywhere_loads_whole_rows_or_nothing(project, cut, packed):
    whole = (HEADER + GOOD).encode()
    content = gzip.compress(whole) if packed else whole
    result = load(project, "p.csv.gz" if packed else "p.csv", content[: int(len(content) * cut)])
    if packed or cut == 0.0:
        assert (result.status, result.rows_loaded) == ("failed", 0)
    else:
        lines = whole[: int(len(whole) * cut)].count(b"\n")
        assert lines - 1 <= result.rows_loaded <= lines
        assert project.rows("select count(*) from raw_crm.people where name <> 'name ' || id") in (
            [(0,)],
            [(1,)],  # the last line can be cut within its name
        )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('1,x,"1,234.50",', "not a valid DECIMAL(18,2)"),
        ('"1,234",x,,', "not a valid INTEGER"),
        ("1,x,1.234.567,", "not a valid DECIMAL(18,2)"),
        ("1 234,x,,", "not a valid INTEGER"),
        ("1,x,,31.12.1999", "not a valid DATE"),
        ("1,x,,12/31/1999", "not a valid DATE"),
        ("1,x,,19991231", "not a valid DATE"),
        ("\x00,x,,", "not a valid INTEGER"),
        ("1,x,=1+1,", "not a valid DECIMAL(18,2)"),
        ("1,x,1.005,", "not a valid DECIMAL(18,2)"),
        ("1,x,NaN,", "not a valid DECIMAL(18,2)"),
        ("99999999999,x,,", "not a valid INTEGER"),
    ],
)
def test_what_does_not_fit_is_refused_and_its_neighbours_load(project, line, why):
    result = load(project, "p.csv", HEADER + "7,a,,\n" + line + "\n8,b,,\n")
    assert (result.rows_loaded, result.rows_quarantined) == (2, 1)
    assert project.rows("select row_number, reason from ops.quarantine") == [(3, why)]


def test_texts_are_kept_as_they_are(project):
    texts = ["=HYPERLINK(1)", "@x", "+1", "-1", "a\x00b", "Zoë", "'; drop table x; --", "../../x"]
    lines = "".join(f'{i},"{text}",,\n' for i, text in enumerate(texts))
    result = load(project, "p.csv", HEADER + lines)
    assert result.rows_quarantined == 0
    assert [n for (n,) in project.rows("select name from raw_crm.people order by id")] == texts


def test_three_formats_of_dates_in_one_file_are_three_declared_formats(project):
    columns = {"id": "integer", "born": ("date", {"format": ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"]})}
    table = project.declare(columns=columns)
    project.drop("people.csv", "id,born\n1,1999-12-31\n2,31.12.1999\n3,12/31/1999\n4,31/12/1999\n")
    (result,) = project.load(table)
    assert (result.rows_loaded, result.rows_quarantined) == (3, 1)
    assert project.rows("select count(distinct born) from raw_crm.people") == [(1,)]


def test_invalid_utf8_and_duplicate_headers(project):
    result = load(project, "p.csv", HEADER.encode() + b"1,a\xff,,\n2,b,,\n")
    assert (result.rows_loaded, result.rows_quarantined) == (1, 1)
    (project.root / "drop" / "p.csv").unlink()
    project.con.execute('delete from ops.quarantine; delete from ingestion."raw_crm.people"')
    result = load(project, "q.csv", "id,name,note,note\n1,a,x,y\n")
    assert project.rows("select _extra from raw_crm.people") == [('{"note.1":"x","note.2":"y"}',)]


@pytest.mark.parametrize(
    "name",
    ["it's.csv", 'a"b.csv', "x..csv", "a;b.csv", "x*[1]{2}?.csv", "drop table.csv", "$(x).csv"],
)
def test_names_of_files_are_only_names(project, name):
    result = load(project, name, HEADER + GOOD)
    assert (result.status, result.rows_loaded) == ("loaded", 300)
    assert result.origin == f"drop/{name}"


def test_a_location_and_a_link_cannot_leave_the_project(project):
    from ingestion.sources import FetchError

    outside = project.root.parent / f"{project.root.name}-outside.csv"
    outside.write_text("id\n1\n")
    (project.root / "drop").mkdir()
    (project.root / "drop" / "link.csv").symlink_to(outside)
    for location in (f"../{outside.name}", "drop/*.csv", f"drop/../../{outside.name}"):
        table = project.declare({"location": location}, {"id": "integer"})
        with pytest.raises(FetchError, match="leads out of its folder"):
            project.load(table)
