"""An incremental run gives what a full run gives: the same edges, entities, customers, ids, history,
whatever came, changed and went, in whatever order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity import blocking
from identity.resolve import FULL, RunSummary, resolve

FIRST = ["Alice", "Ali", "Bob", "Robert", "Carla", "Dan", "Dana", "Eve", None]
LAST = ["Smith", "Smyth", "Jones", "Miller", "Lee", None]
DATES = [date(1980, 5, 17), date(1980, 5, 18), date(1975, 1, 2), date(1991, 12, 30), None]
STREETS = ["12 Main Street", "7 Oak Road", None]
CODES = ["02134", "10001", None]
EMAILS = [
    "alice.smith@example.org",
    "info@acme.org",
    "family@home.net",
    "bobjones@mail.org",
    "x77@mail.org",
    None,
]
PHONES = ["617 555 0101", "617 555 0102", "000 000 0000", None]
USERS = ["u1", "u2", "u3", None, None]
CARDS = ["C1", "C2", None, None]

# everything that a run decides; not when and by which run a row was written
TABLES = {
    "identifiers": "*",
    "normalised_values": "*",
    "edges": "* exclude (run_id)",
    "crosswalk": "*",
    "history": "*",
    "crosswalk_history": "*",
    "held_clusters": "* exclude (run_id)",
    "overrides": "*",
    "runs": "* exclude (started_at, finished_at)",
}
STATE = (
    "people",
    "unnamed",
    "crowded_keys",
    "entities",
    "keys",
    "nodes",
    "consent_forms",
    "forced",
    "forbidden",
)


class Pair:
    """The same company twice: resolved as it comes, and from the beginning each time."""

    def __init__(self, new_warehouse: Callable[[], Any]) -> None:
        self.incremental, self.full = new_warehouse(), new_warehouse()
        for one in (self.incremental, self.full):
            splink = replace(one.rules.splink, max_growth=1e9, max_drift=1e9)
            guards = replace(one.rules.guards, max_cluster_size=12)
            one.rules = replace(one.rules, splink=splink, guards=guards)
        self.runs = 0

    def do(self, action: Callable[[Any], None]) -> None:
        action(self.incremental)
        action(self.full)

    def resolve(self) -> RunSummary:
        """Resolve both, and compare all that they say."""
        self.runs += 1
        now = datetime(2026, 7, 1) + timedelta(hours=self.runs)
        summary, other = (
            resolve(
                one.con,
                one.rules,
                run_id=f"run-{self.runs}",
                now=now,
                overrides=one.overrides,
                mode=mode,
            )
            for one, mode in ((self.incremental, "auto"), (self.full, FULL))
        )
        if summary.unchanged:
            return summary
        for table, columns in TABLES.items():
            self.compare(f"identity.{table}", columns)
        for table in STATE:
            self.compare(f"identity_state.{table}", "*")
        assert summary.nodes == other.nodes
        return summary

    def compare(self, table: str, columns: str) -> None:
        mine, theirs = (
            one.con.execute(f"select {columns} from {table} order by all").fetchall()
            for one in (self.incremental, self.full)
        )
        if mine != theirs:
            extra = [row for row in mine if row not in theirs]
            missing = [row for row in theirs if row not in mine]
            raise AssertionError(f"{table}: only incremental {extra}; only full {missing}")

    def close(self) -> None:
        self.do(lambda one: one.con.close())


def person(draw: random.Random) -> dict[str, Any]:
    return {
        "first_name": draw.choice(FIRST),
        "last_name": draw.choice(LAST),
        "birth_date": draw.choice(DATES),
        "address_line1": draw.choice(STREETS),
        "postal_code": draw.choice(CODES),
        "country_code": "US",
        "email": draw.choice(EMAILS),
        "phone": draw.choice(PHONES),
        "user_id": draw.choice(USERS),
        "loyalty_card": draw.choice(CARDS),
        "verified": draw.random() < 0.3,
    }


def forget(one: Any, key: str) -> None:
    one.con.execute("delete from canonical.contacts where contact_key = ?", [key])
    one.con.execute("delete from canonical.identifiers where node_key = ?", [key])


def batch(pair: Pair, draw: random.Random, keys: list[str], size: int) -> None:
    """Add, change and delete contacts and visitors."""
    for _ in range(size):
        action = draw.random()
        if action < 0.5 or not keys:
            key = f"{draw.choice(['crm', 'shop'])}:{draw.randrange(10_000)}"
            if key in keys:
                continue
            keys.append(key)
            values = person(draw)
            pair.do(lambda one, k=key, v=values: one.contact(k, **v))
        elif action < 0.65:
            key, values = draw.choice(keys), person(draw)

            def change(one: Any, k: str = key, v: dict[str, Any] = values) -> None:
                forget(one, k)
                one.contact(k, **v)

            pair.do(change)
        elif action < 0.85:
            key = keys.pop(draw.randrange(len(keys)))
            is_marked = draw.random() < 0.5
            pair.do(lambda one, k=key, m=is_marked: one.delete(k) if m else forget(one, k))
        else:
            name = f"v{draw.randrange(12)}"
            values = {"user_id": draw.choice(USERS), "email": draw.choice(EMAILS)}
            given = {k: v for k, v in values.items() if v and draw.random() < 0.6}

            def visit(one: Any, n: str = name, g: dict[str, str] = given) -> None:
                forget(one, f"anon:{n}")
                one.visitor(n, **g)

            pair.do(visit)


@pytest.fixture
def small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocking keys become crowded with few records."""
    monkeypatch.setattr(blocking, "FEWEST_PAIRS", 12)
    monkeypatch.setattr(blocking, "PAIRS_PER_PROFILE", 0)


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(seed=st.integers(0, 10**6), steps=st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_incremental_equals_full(
    new_warehouse: Callable[[], Any], small_keys: None, seed: int, steps: list[int]
) -> None:
    draw = random.Random(seed)
    pair = Pair(new_warehouse)
    keys: list[str] = []
    try:
        batch(pair, draw, keys, 45)
        pair.resolve()
        for size in steps:
            batch(pair, draw, keys, size)
            if len(keys) > 2 and draw.random() < 0.4:
                pair.resolve()
                action = draw.choice(["never_link", "always_link"])
                pair.do(lambda one, a=action: one.decide(a, keys[0], keys[1]))
                pair.do(lambda one: setattr(one, "overrides", one.overrides[-1:]))
            pair.resolve()
    finally:
        pair.close()
