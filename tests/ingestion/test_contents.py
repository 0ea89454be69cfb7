"""One pass over a file's bytes: the hash, and as many keys as JSON could have in them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import contents, file_text, rows

LONG_AGO = 10**18
BYTES = st.lists(st.sampled_from([*b'":n \t\\!ul-059.,\x00\xff'])).map(bytes)
NULLS = (b'(?=":nu)', b'(?=": n)', b"(?= :nu)", b"(?= : n)")


@settings(deadline=None)
@given(BYTES, st.integers(1, 9))
def test_keys_are_counted_alike_wherever_the_blocks_of_a_file_end(content, size):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_text, "DIGESTED_BYTES", size)
        path = Path(folder) / "x"
        path.write_bytes(content)
        found = contents.read(path, count=True)
        nulls = contents.null_keys(path)
    assert (found.content_hash, found.size) == (blake3(content).hexdigest(), len(content))
    keys = list(re.finditer(rb"(?<=[\x00-\x22]):(?=(..))", b" " + content, re.DOTALL))
    assert found.keys == len(keys)
    plain = sum(b"-" <= key[1][:1] <= b"9" for key in keys)
    spaced = sum(key[1][:1] == b" " and b"-" <= key[1][1:] <= b"9" for key in keys)
    assert found.numbers in (plain, spaced)
    assert nulls == sum(len(re.findall(pattern, content)) for pattern in NULLS)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_numbers_are_counted_as_the_file_writes_them(tmp_path, separators):
    record = {"a": 1, "b": "2", "c": -3.5, "d": True, "e": None, "f": "x:4"}
    path = tmp_path / "x.ndjson"
    path.write_text((json.dumps(record, separators=separators) + "\n") * 3)
    found = contents.read(path, count=True)
    assert found.numbers == 6


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_file_that_lies_still_is_hashed_beside_its_load(project, form):
    table = project.declare({"format": {"type": form}}, {"id": "integer", "name": "varchar"})
    content = "id,name\n1,a\n" if form == "csv" else '{"id":1,"name":null}\n{"id":2,"name":"a"}\n'
    path = project.drop("people.x", content)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    (result,) = project.load(table)
    assert (result.status, result.new_columns) == ("loaded", ())
    assert project.rows("select content_hash, bytes from ops.loads") == [
        (blake3(content.encode()).hexdigest(), len(content))
    ]
    project.con.execute("delete from ingestion.files")  # by its bytes, too, it is known again
    assert project.load(table)[0].status == "unchanged"


def test_a_file_that_cannot_be_loaded_is_booked_with_its_hash(project):
    table = project.declare()
    path = project.drop("people.csv", "who\nx\n")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    assert project.load(table)[0].status == "failed"
    assert project.rows("select content_hash is not null, bytes from ops.loads") == [(True, 6)]


def test_what_changed_while_it_was_read_is_read_again(project, monkeypatch):
    table = project.declare(columns={"id": "integer"})
    path = project.drop("people.csv", "id\n1\n")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    insert = rows.insert

    def and_then_the_file_grows(*given):
        inserted = insert(*given)
        path.write_text("id\n1\n2\n")
        return inserted

    with monkeypatch.context() as patch:
        patch.setattr(rows, "insert", and_then_the_file_grows)
        assert project.load(table)[0].rows_loaded == 1
    assert project.rows("select content_hash from ops.loads") == [(None,)]
    assert project.load(table)[0].rows_loaded == 2
