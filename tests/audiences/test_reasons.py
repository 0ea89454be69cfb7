"""Why somebody is in an audience or not, on a published file; and the command that says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences import published, reasons
from audiences.published import AudienceError, Definition

# a carts audience as dbt compiles it: the catalog by name, CTEs, a view that is not published
SQL = """
with carts as (
    select * from "mainstem"."canonical"."carts" where status = 'abandoned'
),
cart_customers as (
    select distinct cart_id, customer_id from "mainstem"."intermediate"."int_events"
    where cart_id is not null
)
select customers.customer_id, count(distinct carts.cart_id) as carts
from carts
inner join cart_customers on carts.cart_id = cart_customers.cart_id
inner join "mainstem"."marts"."golden_customers" as customers
    on cart_customers.customer_id = customers.customer_id
where
    carts.last_activity_at > cast('2026-07-01 00:00:00' as timestamp) - interval '30 days'
    and customers.country_code in ('DE', 'AT')
group by customers.customer_id
having count(distinct carts.cart_id) >= 2
"""
VIEW = (
    'CREATE VIEW intermediate.int_events AS SELECT * FROM "mainstem"."canonical"."events"'
    " WHERE customer_id IS NOT NULL"
)


def build(path: Path, carts: list[tuple[str, str, str, str]], people: dict[str, str]) -> Path:
    """A published file with (cart, customer, status, last activity) and customer -> country."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as con:
        for schema in ("canonical", "marts", "audiences", "identity"):
            con.execute(f"create schema {schema}")
        con.execute(
            "create table canonical.carts (cart_id varchar, status varchar, last_activity_at timestamp)"
        )
        con.execute("create table canonical.events (customer_id varchar, cart_id varchar)")
        con.execute(
            "create table marts.golden_customers"
            " (customer_id varchar, country_code varchar, first_name varchar, email varchar)"
        )
        for cart, customer, status, at in carts:
            con.execute("insert into canonical.carts values (?, ?, ?)", [cart, status, at])
            con.execute(
                "insert into canonical.events values (?, ?), (?, null)", [customer, cart, customer]
            )
        for customer, country in people.items():
            con.execute(
                "insert into marts.golden_customers values (?, ?, 'Johanna', ?)",
                [customer, country, f"{customer}@example.com"],
            )
    return path  # fmt: skip


def definition(sql: str = SQL, views: tuple[str, ...] = (VIEW,)) -> Definition:
    return Definition(
        audience_id="aud_carts", description="Carts.", owner="us", consent_purpose="marketing",
        experiment_id="mails", max_size=None, declared_in="models/audiences/aud_carts.sql", sql=sql,
        booked_at=published.datetime(2026, 7, 1), views=views,
    )  # fmt: skip


CARTS = [
    ("k1", "both", "abandoned", "2026-06-20"),
    ("k2", "both", "abandoned", "2026-06-21"),
    ("k3", "single", "abandoned", "2026-06-20"),
    ("k4", "single", "open", "2026-06-20"),
    ("k5", "late", "abandoned", "2026-01-01"),
    ("k6", "late", "abandoned", "2026-01-02"),
    ("k7", "french", "abandoned", "2026-06-20"),
    ("k8", "french", "abandoned", "2026-06-21"),
]
PEOPLE = {"both": "DE", "single": "DE", "late": "AT", "french": "FR", "nothing": "DE"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    path = build(home / "published" / "mainstem.duckdb", CARTS, PEOPLE)
    with duckdb.connect(str(path)) as con:
        con.execute("create table audiences.aud_carts as select 'both' as customer_id, 2 as carts")
        con.execute(
            "create table audiences.definitions as select 'aud_carts' as audience_id, 'Carts.' as description,"
            " 'us' as owner, 'marketing' as consent_purpose, 'mails' as experiment_id, null::bigint as max_size,"
            " 'models/audiences/aud_carts.sql' as declared_in, ? as sql,"
            " [{'name': 'intermediate.int_events', 'sql': ?}] as views, timestamp '2026-07-01' as booked_at",
            [SQL, VIEW],
        )
        con.execute(
            "create table audiences.membership as from (values ('aud_carts', 'both', timestamp '2026-06-30'),"
            " ('aud_other', 'both', timestamp '2026-06-30'), ('aud_other', 'single', timestamp '2026-06-30'))"
            " as t (audience_id, customer_id, entered_at)"
        )
        con.execute(
            "create table audiences.membership_history as select 'aud_carts' as audience_id,"
            " 'both' as customer_id, timestamp '2026-07-01' as changed_at, 'entered' as change,"
            " true as is_member, null::varchar as related_customer_id, 'selected' as reason, 'r' as run_id"
        )
        con.execute(
            "create table canonical.experiments as select 'mails' as experiment_id, true as is_running"
        )
        con.execute(
            "create table canonical.experiment_assignments as"
            " select 'mails' as experiment_id, 'both' as unit_id, 'control' as variant"
        )
        con.execute(
            "create view identity.resolve_forward as select customer_id,"
            " customer_id as current_customer_id from marts.golden_customers"
        )
        con.execute(
            "create table identity.crosswalk as select 'crm:' || customer_id as node_key, customer_id"
            " from marts.golden_customers"
        )
        con.execute(
            "create table identity.identifiers as select 'crm:' || customer_id as node_key,"
            " 'email' as identifier_type, email as identifier_value, false as is_blocked"
            " from marts.golden_customers"
        )
    return path  # fmt: skip


def verdicts(answer: reasons.Reasons) -> list[bool | None]:
    return [one.holds for one in answer.conditions]


def test_each_condition_is_judged(file: Path) -> None:
    explained = {who: reasons.explain(file, definition(), who) for who in PEOPLE}
    assert [one.sql for one in explained["both"].conditions] == [
        "status = 'abandoned'",
        "cart_id IS NOT NULL",
        "carts.last_activity_at > 2026-06-01 00:00:00",
        "customers.country_code IN ('DE', 'AT')",
        "COUNT(DISTINCT carts.cart_id) >= 2",
    ]
    assert [one.within for one in explained["both"].conditions] == [
        "carts",
        "cart_customers",
        "",
        "",
        "",
    ]
    assert {who for who, answer in explained.items() if answer.is_selected} == {"both"}
    assert verdicts(explained["both"]) == [True] * 5
    assert verdicts(explained["single"]) == [True, True, True, True, False]
    # two carts, but not this month: HAVING is asked of what the conditions that hold leave
    assert verdicts(explained["late"]) == [True, True, False, True, True]
    assert verdicts(explained["french"]) == [True, True, True, False, True]


def test_what_the_conditions_look_at(file: Path) -> None:
    answer = reasons.explain(file, definition(), "single")
    values = {name: value for one in answer.conditions for name, value in one.values}
    assert values["customers.country_code"] == "DE"
    assert values["COUNT(DISTINCT carts.cart_id)"] == "1"
    late = reasons.explain(file, definition(), "late")
    assert late.conditions[2].values == (
        ("carts.last_activity_at", "2026-01-01 00:00:00, 2026-01-02 00:00:00"),
    )


def test_without_a_row_no_condition_can_be_asked(file: Path) -> None:
    answer = reasons.explain(file, definition(), "nothing")
    assert verdicts(answer) == [None] * 5
    assert {one.name: one.has_customer for one in answer.sources} == {
        "carts": None,
        "cart_customers": False,
        "golden_customers": True,
    }


@pytest.mark.parametrize(
    ("sql", "message"),
    [("select from where", "cannot be taken apart"), ('select * from "mainstem"."marts"."gone"', "does not run")],
)  # fmt: skip
def test_a_select_that_does_not_run_here_is_an_error_in_words(
    file: Path, sql: str, message: str
) -> None:
    with pytest.raises(AudienceError, match=message):
        reasons.explain(file, definition(sql), "both")


CART = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["abandoned", "open"]),
    st.sampled_from(["2026-06-20", "2026-01-01"]),
)


@settings(max_examples=12, deadline=None)
@given(
    carts=st.lists(CART, max_size=6),
    people=st.fixed_dictionaries({"a": st.sampled_from(["DE", "FR"]), "b": st.just("AT")}),
)
def test_the_verdict_is_the_selects(
    tmp_path_factory: pytest.TempPathFactory,
    carts: list[tuple[str, str, str]],
    people: dict[str, str],
) -> None:
    """In it if and only if, one after the other, every condition holds."""
    path = tmp_path_factory.mktemp("home") / "mainstem.duckdb"
    build(path, [(f"k{n}", *cart) for n, cart in enumerate(carts)], people)
    for who, country in people.items():
        recent = [
            cart for cart in carts if cart[0] == who and cart[1:] == ("abandoned", "2026-06-20")
        ]
        answer = reasons.explain(path, definition(), who)
        assert answer.is_selected == (len(recent) >= 2 and country != "FR")
        assert answer.is_selected == all(verdicts(answer))


def mainstem(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from orchestration.cli import cli, main\n"
        "try: main()\n"
        "finally: heavy = {'dagster', 'dbt'} & sys.modules.keys(); assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", program, "audience", *arguments],
        capture_output=True, text=True, timeout=60, cwd=root, check=False,
        env={"MAINSTEM_HOME": str(home), "MAINSTEM_PROJECT": str(root), "PATH": "", "COLUMNS": "130"},
    )  # fmt: skip


def test_the_command(file: Path) -> None:
    home = file.parents[1]
    listed = json.loads(mainstem(home, "list", "--json").stdout)
    assert [(one["audience"], one["customers"], one["entered"]) for one in listed] == [
        ("aud_carts", 1, 1)
    ]
    shown = json.loads(mainstem(home, "preview", "carts", "--json").stdout)
    assert shown["overlaps"] == [
        {"audience_id": "aud_other", "customers": 1, "share": 1.0, "share_of_other": 0.5}
    ]
    assert [(arm["variant"], arm["share"]) for arm in shown["arms"]] == [("control", 1.0)]
    assert shown["sample"] == [
        {"customer_id": "both", "first_name": "J…", "email": "b…", "carts": 2}
    ]
    told = mainstem(home, "preview", "carts", "--customer", "french@example.com").stdout
    assert "french is not in aud_carts" in told
    assert "✗ customers.country_code IN ('DE', 'AT')" in told
    assert "customers.country_code is FR" in told
    told = mainstem(home, "preview", "aud_carts", "--customer", "both").stdout
    assert "since 2026-06-30" in told
    assert "in the arm control of mails" in told
    assert mainstem(home, "sql", "carts").stdout.strip() == SQL.strip()
    wrong = mainstem(home, "preview", "cart")
    assert wrong.returncode == 1
    assert wrong.stderr == "mainstem: there is no audience cart; did you mean aud_carts?\n"
    unknown = mainstem(home, "preview", "carts", "--customer", "who@example.com")
    assert "nobody is known by that id or value" in unknown.stderr
    assert "who@" not in unknown.stderr
