"""An incremental run gives what a full run gives: the same edges, entities, customers, ids, history,
whatever came, changed and went, in whatever order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity import blocking
from identity.resolve import FULL, RETRAIN, resolve
from identity.summary import RunSummary

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
    "alike",
    "profiles",
    "nodes",
    "buckets",
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

    def do(self, method: str, *given: object, **values: object) -> None:
        for one in (self.incremental, self.full):
            getattr(one, method)(*given, **values)

    def forget(self, key: str) -> None:
        for one in (self.incremental, self.full):
            one.con.execute("delete from canonical.contacts where contact_key = ?", [key])
            one.con.execute("delete from canonical.identifiers where node_key = ?", [key])

    def put(self, key: str, values: dict[str, Any]) -> None:
        self.forget(key)
        self.do("contact", key, **values)

    def resolve(self) -> RunSummary:
        """Resolve both, and compare all that they say."""
        self.runs += 1
        now = datetime(2026, 7, 1) + timedelta(hours=self.runs)
        summary = self._resolve(self.incremental, now, "auto")
        if summary.unchanged:
            return summary
        other = self._resolve(self.full, now, FULL)
        for table, columns in TABLES.items():
            self.compare(f"identity.{table}", columns)
        for table in STATE:
            self.compare(f"identity_state.{table}", "*")
        assert summary.nodes == other.nodes
        return summary

    def _resolve(self, one: Any, now: datetime, mode: str) -> RunSummary:
        return resolve(
            one.con,
            one.rules,
            run_id=f"run-{self.runs}",
            now=now,
            overrides=one.overrides,
            mode=mode,
        )

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
        for one in (self.incremental, self.full):
            one.con.close()


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


def batch(pair: Pair, draw: random.Random, keys: list[str], size: int) -> None:
    """Add, change and delete contacts and visitors."""
    for _ in range(size):
        action = draw.random()
        if action < 0.5 or not keys:
            key = f"{draw.choice(['crm', 'shop'])}:{draw.randrange(10_000)}"
            if key not in keys:
                keys.append(key)
                pair.put(key, person(draw))
        elif action < 0.65:
            pair.put(draw.choice(keys), person(draw))
        elif action < 0.85:
            key = keys.pop(draw.randrange(len(keys)))
            if draw.random() < 0.5:
                pair.do("delete", key)
            else:
                pair.forget(key)
        else:
            name = f"v{draw.randrange(12)}"
            values = {"user_id": draw.choice(USERS), "email": draw.choice(EMAILS)}
            pair.forget(f"anon:{name}")
            pair.do("visitor", name, **{k: v for k, v in values.items() if v})


@pytest.fixture
def small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocking keys become crowded with few records."""
    monkeypatch.setattr(blocking, "FEWEST_PAIRS", 12)
    monkeypatch.setattr(blocking, "PAIRS_PER_PROFILE", 0)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(seed=st.integers(0, 10**6), steps=st.lists(st.integers(1, 6), min_size=2, max_size=3))
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
                pair.do("decide", draw.choice(["never_link", "always_link"]), keys[0], keys[1])
                for one in (pair.incremental, pair.full):
                    one.overrides = one.overrides[-1:]
            pair.resolve()
    finally:
        pair.close()


@pytest.fixture
def pair(new_warehouse: Callable[[], Any]) -> Iterator[Pair]:
    made = Pair(new_warehouse)
    yield made
    made.close()


def crowd(pair: Pair, count: int = 12) -> None:
    """People who have nothing to do with one another, so that few changes are few."""
    for number in range(count):
        pair.put(
            f"crm:crowd{number}",
            {
                "first_name": f"{'abcdefghijklm'[number]}lmar",
                "last_name": f"{'nopqrstuvwxyz'[number]}ansen",
                "birth_date": date(1950 + number, 3, 4),
                "email": f"mail{number}@crowd.org",
                "country_code": "US",
            },
        )


def test_what_a_deleted_contact_held_together_comes_apart(
    pair: Pair, smith: dict[str, Any]
) -> None:
    crowd(pair)
    pair.put("crm:1", {**smith, "email": "alice@a.org"})
    pair.put("web:2", {"first_name": "Alice", "email": "alice@a.org", "phone": "617 555 0101"})
    pair.put("app:3", {"first_name": "Alice", "phone": "617 555 0101"})
    pair.resolve()
    before = pair.incremental.ids()
    assert before["crm:1"] == before["web:2"] == before["app:3"]
    pair.forget("web:2")
    summary = pair.resolve()
    after = pair.incremental.ids()
    assert summary.scope is not None
    assert (
        summary.scope.in_words() == "incremental: 0 new, 0 changed, 1 deleted; 2 customers touched"
    )
    assert "web:2" not in after
    assert after["crm:1"] != after["app:3"]
    assert {k: v for k, v in after.items() if "crowd" in k} == {
        k: v for k, v in before.items() if "crowd" in k
    }


def test_what_only_a_full_run_can_do_is_done_and_said(pair: Pair) -> None:
    crowd(pair)
    pair.resolve()
    pair.put("crm:1", {"first_name": "Ann", "country_code": "DE"})
    summary = pair.resolve()
    assert summary.scope is None
    assert summary.notes == (
        "everything was resolved anew: contacts live in other countries than before",
    )


def models(one: Any) -> list[tuple[str, int]]:
    rows = one.con.execute("select reason, records from identity_state.models").fetchall()
    return [(str(reason), int(records)) for reason, records in rows]


def test_a_model_is_kept_until_the_data_drifts_or_somebody_asks(
    warehouse: Any, smith: dict[str, Any]
) -> None:
    for number in range(6):
        born = date(1950 + number, 3, 4)
        warehouse.contact(
            f"crm:{number}", **{**smith, "first_name": FIRST[number], "birth_date": born}
        )
    warehouse.resolve()
    warehouse.contact("crm:6", **smith)
    warehouse.resolve()
    assert [records for _, records in models(warehouse)] == [6]
    for number in range(7, 12):
        warehouse.contact(
            f"crm:{number}", **{**smith, "last_name": f"Jones{'abcdefghijkl'[number]}"}
        )
    assert warehouse.resolve().notes[-1].startswith("the model was trained anew: trained on 6")
    warehouse.con.execute("update canonical.contacts set birth_date = null")
    assert "birth_text" in warehouse.resolve().notes[-1]
    resolve(warehouse.con, warehouse.rules, run_id="run-9", now=datetime(2026, 8, 1), mode=RETRAIN)
    assert [reason for reason, _ in models(warehouse)][-1] == "asked for"
