"""The sample's labels are read from the file that they are in, whatever its folder is called."""

from __future__ import annotations

from pathlib import Path

import duckdb

from orchestration.defs.graph import read_truth


def test_a_folder_named_like_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    for folder, person in (("[a]", "p1"), ("a", "p2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "contacts.csv").write_text(
            f"source_system,source_record_id,person_id,traps\ncrm,1,{person},\ncrm,2,,\n"
        )
    con = duckdb.connect()
    table = read_truth(con, tmp_path / "[a]" / "contacts.csv")
    assert con.execute(f"from {table} order by 1").fetchall() == [("crm:1", "p1"), ("crm:2", None)]
