"""A warehouse for audiences: identity's tables as identity makes them, and the books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest

from identity import tables

ROOT = Path(__file__).parents[2]
MACROS = ROOT / "dbt_project" / "macros"


class Books:
    """The macros of the audiences folder, run as dbt would on one audience, without dbt."""

    def __init__(self) -> None:
        self.con = duckdb.connect(":memory:")
        self.con.execute("set TimeZone = 'UTC'")
        tables.create(self.con)
        self.clock = 0
        self.runs = 0
        self._text = (MACROS / "audiences.sql").read_text("utf-8")
        self._environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
        self.con.execute(self._render("open_audience_books"))
        self.con.execute("create or replace table audiences.aud_a (customer_id varchar)")

    def tick(self) -> str:
        """The next moment."""
        self.clock += 1
        return f"2026-01-01 00:{self.clock // 60:02}:{self.clock % 60:02}"

    def _render(self, macro: str) -> str:
        moment = self.tick()

        class Started:
            def strftime(self, _: str) -> str:
                return moment

        model = {
            "name": "aud_a",
            "resource_type": "model",
            "fqn": ["mainstem", "audiences", "aud_a"],
        }
        template = self._environment.from_string(
            self._text,
            globals={
                "execute": True,
                "this": "audiences.aud_a",
                "model": model,
                "graph": {"nodes": {"aud_a": model}},
                "run_started_at": Started(),
                "env_var": lambda name, default: f"run{self.clock}",
                "return": lambda value: value,
            },
        )
        return str(getattr(template.module, macro)())

    def live(self) -> list[str]:
        """Customers that have a node, in order."""
        return self._column("select distinct customer_id from identity.crosswalk order by 1")

    def create(self, customer: str, *nodes: str) -> None:
        for node in nodes or (f"node_of_{customer}",):
            self.con.execute(
                "insert into identity.crosswalk (node_key, customer_id) values (?, ?)",
                [node, customer],
            )

    def merge(self, gone: str, heir: str) -> None:
        self.con.execute(
            "update identity.crosswalk set customer_id = ? where customer_id = ?", [heir, gone]
        )
        self._happened("merge", gone, heir)

    def split(self, parent: str, child: str) -> None:
        self.create(child)
        self._happened("split", parent, child)

    def erase(self, customer: str) -> None:
        self.con.execute("delete from identity.crosswalk where customer_id = ?", [customer])
        self._happened("erase", customer, None)

    def _happened(self, event: str, from_id: str, to_id: str | None) -> None:
        moment = self.tick()
        self.runs += 1
        self.con.execute(
            "insert into identity.runs (run_id, run_number, finished_at) values (?, ?, ?)",
            [f"identity{self.runs}", self.runs, moment],
        )
        self.con.execute(
            "insert into identity.history (event, from_customer_id, to_customer_id, run_id, changed_at)"
            " values (?, ?, ?, ?, ?)",
            [event, from_id, to_id, f"identity{self.runs}", moment],
        )

    def book(self, *selected: str) -> None:
        """What building the audience does with these customers selected."""
        self.con.execute("delete from audiences.aud_a")
        if selected:
            self.con.executemany(
                "insert into audiences.aud_a values (?)", [(one,) for one in selected]
            )
        self.con.execute(self._render("copy_moved_ids"))
        self.con.begin()
        self.con.execute(self._render("book_membership"))
        self.con.execute("delete from audiences.definitions")
        self.con.execute(
            "insert into audiences.definitions (audience_id, booked_at) values ('aud_a', ?)",
            [f"2026-01-01 00:{self.clock // 60:02}:{self.clock % 60:02}"],
        )
        self.con.commit()

    def members(self) -> dict[str, Any]:
        """customer_id -> entered_at."""
        return dict(
            self.con.execute("select customer_id, entered_at from audiences.membership").fetchall()
        )

    def history(self) -> list[tuple[str, str, bool, str | None]]:
        """(customer, change, is_member, related) in the order of booking."""
        return self.con.execute(
            "select customer_id, change, is_member, related_customer_id"
            " from audiences.membership_history order by changed_at, customer_id"
        ).fetchall()

    def _column(self, sql: str) -> list[str]:
        return [row[0] for row in self.con.execute(sql).fetchall()]


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books()
    yield made
    made.con.close()


@pytest.fixture(scope="session")
def new_books() -> type[Books]:
    """For properties: a Hypothesis example has no fixtures of its own."""
    return Books
