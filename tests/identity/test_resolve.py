"""A run as a whole: who ends up together, who stays apart, and that nothing but content decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import duckdb
import pytest

from identity import rows
from identity.evaluate import evaluate
from identity.rules import RulesError


def same(warehouse: Any, *keys: str) -> bool:
    ids = warehouse.ids()
    return len({ids[k] for k in keys}) == 1


def test_sample_company_reaches_its_targets(sample: Any) -> None:
    score = evaluate(sample.con, "truth")
    assert score.precision >= 0.985
    assert score.recall >= 0.95
    assert score.largest_cluster <= 25


def test_sample_has_every_node_once_and_every_contact(sample: Any) -> None:
    nodes, distinct, contacts, visitors = sample.con.execute(
        """
        select count(*), count(distinct node_key),
            count(*) filter (node_key in (select contact_key from canonical.contacts)),
            count(*) filter (starts_with(node_key, 'anon:'))
        from identity.crosswalk
        """
    ).fetchall()[0]
    assert nodes == distinct == contacts + visitors
    assert sample.con.execute("select count(*) from canonical.contacts").fetchall() == [(contacts,)]
    assert visitors > 0


def test_twins_and_generations_of_the_sample_stay_apart(sample: Any) -> None:
    merged, all_pairs = sample.con.execute(
        """
        with trapped as (
            select t.person_id, t.contact_key, x.customer_id, c.last_name, c.address_line1
            from truth as t
            join identity.crosswalk as x on x.node_key = t.contact_key
            join canonical.contacts as c using (contact_key)
            where list_contains(string_split(t.traps, ' '), 'twin')
        )
        select count(*) filter (l.customer_id = r.customer_id), count(*)
        from trapped as l
        join trapped as r on l.last_name = r.last_name and l.address_line1 = r.address_line1
        where l.person_id < r.person_id
        """
    ).fetchall()[0]
    assert all_pairs > 10
    assert merged == 0


def test_row_order_and_threads_change_nothing(part_of_sample: Any) -> None:
    part_of_sample.resolve()
    before = part_of_sample.con.execute(
        "select * exclude (valid_from) from identity.crosswalk order by node_key"
    ).fetchall()
    edges = "select * exclude (run_id) from identity.edges order by edge_id"
    edges_before = part_of_sample.con.execute(edges).fetchall()
    part_of_sample.con.execute(
        """
        create or replace table canonical.contacts as select *
            from canonical.contacts order by md5(contact_key || 'x');
        create or replace table canonical.identifiers as
            select * from canonical.identifiers order by md5(node_key || identifier_value);
        drop schema identity cascade;
        set threads = 5;
        """
    )
    summary = part_of_sample.resolve()
    assert not summary.unchanged
    after = part_of_sample.con.execute(
        "select * exclude (valid_from) from identity.crosswalk order by node_key"
    ).fetchall()
    assert after == before
    assert part_of_sample.con.execute(edges).fetchall() == edges_before


def test_unchanged_input_is_left_alone(warehouse: Any, smith: dict[str, object]) -> None:
    warehouse.contact("shop:1", **smith)
    assert not warehouse.resolve().unchanged
    warehouse.con.execute("update canonical.contacts set loaded_at = '2026-07-02'")
    again = warehouse.resolve()
    assert again.unchanged
    assert again.customers == 1
    assert warehouse.con.execute("select count(*) from identity.runs").fetchall() == [(1,)]


def test_a_failed_write_leaves_yesterdays_tables(
    warehouse: Any, smith: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.contact("shop:1", **smith)
    warehouse.resolve()
    before = warehouse.con.execute("from identity.crosswalk").fetchall()
    warehouse.contact("shop:2", first_name="Bob", last_name="Jones")
    prepare = rows.prepare

    def prepare_badly(work: Any, *rest: Any) -> None:
        prepare(work, *rest)
        work.execute("alter table new_held_clusters rename column kind to no_such_column")

    monkeypatch.setattr(rows, "prepare", prepare_badly)
    with pytest.raises(duckdb.Error):
        warehouse.resolve()
    assert warehouse.con.execute("from identity.crosswalk").fetchall() == before
    monkeypatch.undo()
    assert warehouse.resolve().nodes == 2


@pytest.mark.parametrize("contacts", [0, 1, 5])
def test_tiny_inputs(warehouse: Any, contacts: int) -> None:
    for number in range(contacts):
        warehouse.contact(f"shop:{number}")
    summary = warehouse.resolve()
    assert summary.nodes == summary.customers == contacts


def test_same_person_across_sources(warehouse: Any, smith: dict[str, object]) -> None:
    warehouse.contact("shop:1", email="alice.smith@gmail.com", user_id="C1", **smith)
    warehouse.contact("crm:2", full_name="Smith, Alice", email="AliceSmith+news@googlemail.com")
    warehouse.contact("crm:3", user_id="C1")
    warehouse.contact("stores:4", **(smith | {"first_name": "Alyce", "postal_code": "2134-1234"}))
    warehouse.resolve()
    assert same(warehouse, "shop:1", "crm:2", "crm:3", "stores:4")


def test_nicknames_accents_and_swapped_names_with_one_phone(warehouse: Any) -> None:
    warehouse.contact(
        "a:1", first_name="William", last_name="Müller", phone="(617) 555-0134", country_code="US"
    )
    warehouse.contact("a:2", first_name="Bill", last_name="Mueller", phone="+1 617 555 0134 ext. 9")
    warehouse.contact("a:3", first_name="MULLER", last_name="william", phone="617.555.0134")
    warehouse.contact(
        "a:4", first_name="Dr. W.", last_name="Muller", phone="0016175550134", country_code="GB"
    )
    warehouse.resolve()
    assert same(warehouse, "a:1", "a:2", "a:3", "a:4")


@pytest.mark.parametrize(
    "other",
    [
        {"first_name": "Robert"},  # a twin, or a husband
        {"first_name": "Robert", "birth_date": date(2010, 1, 9)},  # a child
        {"birth_date": date(1951, 2, 27)},  # a mother of the same name
    ],
)
def test_family_with_one_email_phone_and_address_stays_apart(
    warehouse: Any, smith: dict[str, object], other: dict[str, object]
) -> None:
    shared: dict[str, object] = {"email": "thesmiths@gmail.com", "phone": "617-555-0134"}
    warehouse.contact("a:1", **(smith | shared))
    warehouse.contact("b:1", **(smith | shared))
    warehouse.contact("a:2", **(smith | shared | other))
    warehouse.contact("a:3", email="thesmiths@gmail.com")  # nobody's name: must not bridge them
    warehouse.resolve()
    assert same(warehouse, "a:1", "b:1")
    assert not same(warehouse, "a:1", "a:2")
    reasons = warehouse.con.execute(
        "select distinct inactive_reason from identity.edges where not is_active"
    ).fetchall()
    # what speaks for it is vetoed, or too little to be kept as evidence at all
    assert all(str(r).startswith(("conflict: ", "below_")) for (r,) in reasons), reasons


def test_junior_and_senior_stay_apart(warehouse: Any, smith: dict[str, object]) -> None:
    named = smith | {"birth_date": None, "email": "smith@gmail.com"}
    warehouse.contact("a:1", **(named | {"last_name": "Smith Jr."}))
    warehouse.contact("a:2", **(named | {"last_name": "Smith Sr"}))
    warehouse.resolve()
    assert not same(warehouse, "a:1", "a:2")


@pytest.mark.parametrize("email", ["info@acme.com", "test@test.com", "noemail@example.com"])
def test_placeholders_link_nobody(warehouse: Any, email: str) -> None:
    for key, name in (("a:1", "Ann"), ("a:2", "Ann"), ("a:3", None)):
        warehouse.contact(key, first_name=name, email=email, phone="000-000-0000")
    warehouse.resolve()
    assert len(set(warehouse.ids().values())) == 3
    blocked = warehouse.con.execute(
        "select distinct identifier_type, blocked_reason from identity.identifiers where is_blocked"
    ).fetchall()
    assert ("email", "placeholder") in blocked
    assert warehouse.con.execute(
        "select count(*) from identity.held_clusters where kind = 'placeholder'"
    ).fetchall() >= [(1,)]


def test_a_phone_of_too_many_people_is_found_by_itself(warehouse: Any) -> None:
    for number, name in enumerate(["Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus"]):
        warehouse.contact(
            f"a:{number}", first_name=name, last_name=f"{name}son", phone="+1 617 555 0177"
        )
    warehouse.contact("b:1", first_name="Ann", phone="+1 617 555 0177")
    warehouse.resolve()
    assert len(set(warehouse.ids().values())) == 8
    assert warehouse.con.execute(
        "select kind, node_count from identity.held_clusters"
    ).fetchall() == [("too_many_people", 8)]


def test_default_birth_dates_are_no_evidence(warehouse: Any) -> None:
    for number in range(300):
        letters = "".join(chr(97 + int(d)) for d in f"{number:03d}")
        warehouse.contact(
            f"a:{number}",
            first_name="Ann",
            last_name=f"Smith{letters}" if number > 80 else "Smith",
            birth_date=date(1985, 6, 1) if number < 100 else date(1950, 1, 1 + number % 28),
        )
    warehouse.contact("b:1", first_name="Ann", last_name="Smith", birth_date=date(1900, 1, 1))
    warehouse.contact("b:2", first_name="Ann", last_name="Smith", birth_date=date(1900, 1, 1))
    warehouse.resolve()
    held = warehouse.con.execute(
        "select identifier_value from identity.held_clusters where kind = 'default_birth_date'"
    ).fetchall()
    assert held == [("1985-06-01",)]
    assert not same(warehouse, "b:1", "b:2")
    assert not same(warehouse, "a:1", "a:2")


def test_a_visitor_belongs_to_who_logged_in_and_a_shared_device_to_nobody(warehouse: Any) -> None:
    warehouse.contact("shop:1", first_name="Ann", last_name="Lee", user_id="C1")
    warehouse.contact("shop:2", first_name="Bob", last_name="Ray", user_id="C2")
    warehouse.contact("crm:1", first_name="Ann", last_name="Lee", user_id="C1", email="ann@lee.org")
    warehouse.visitor("own", user_id="C1")
    warehouse.visitor("shared", user_id="C1")
    warehouse.identifier("anon:shared", "user_id", "C2")
    warehouse.visitor("letter", email="ann@lee.org")
    warehouse.visitor("orphan1", user_id="C9")
    warehouse.visitor("orphan2", user_id="C9")
    warehouse.visitor("nobody")
    warehouse.resolve()
    assert same(warehouse, "shop:1", "crm:1", "anon:own", "anon:letter")
    assert same(warehouse, "anon:orphan1", "anon:orphan2")
    ids = warehouse.ids()
    assert (
        len({ids[k] for k in ("shop:1", "shop:2", "anon:shared", "anon:nobody", "anon:orphan1")})
        == 5
    )
    assert warehouse.con.execute(
        "select kind, identifier_value from identity.held_clusters"
    ).fetchall() == [("shared_device", "anon:shared")]


def test_one_persons_two_logins_on_one_device_are_no_shared_device(
    warehouse: Any, smith: dict[str, object]
) -> None:
    warehouse.contact("shop:1", user_id="C1", **smith)
    warehouse.contact("shop:2", user_id="C2", **smith)
    warehouse.visitor("laptop", user_id="C1")
    warehouse.identifier("anon:laptop", "user_id", "C2")
    warehouse.resolve()
    assert same(warehouse, "shop:1", "shop:2", "anon:laptop")


def test_strict_ids_are_parts_of_customers(sample: Any) -> None:
    assert sample.con.execute(
        "select count(*) from (select strict_customer_id from identity.crosswalk"
        " group by all having count(distinct customer_id) > 1)"
    ).fetchall() == [(0,)]
    broad, strict = sample.con.execute(
        "select count(distinct customer_id), count(distinct strict_customer_id)"
        " from identity.crosswalk"
    ).fetchall()[0]
    assert strict > broad
    # a browser that gave an address is the part, not the person
    assert sample.con.execute(
        "select count(*) from (select customer_id from identity.crosswalk"
        " group by all having bool_or(not starts_with(node_key, 'anon:')) and not"
        " bool_or(strict_customer_id = customer_id and not starts_with(node_key, 'anon:')))"
    ).fetchall() == [(0,)]


def test_names_in_other_scripts_do_no_harm(warehouse: Any) -> None:
    warehouse.contact("a:1", first_name="李", last_name="小龙", email="li@x.cn")
    warehouse.contact("a:2", first_name="محمد", last_name="علي", email="li@x.cn")
    warehouse.contact(
        "a:3", first_name="🙂", last_name="🙂🙂", phone="not a number", email="no at sign"
    )
    warehouse.resolve()
    assert len(set(warehouse.ids().values())) == 3


def test_a_rule_that_is_not_sql_names_itself(warehouse: Any, smith: dict[str, object]) -> None:
    warehouse.contact("a:1", **smith)
    first, *rest = warehouse.rules.exact_rules
    warehouse.rules = replace(
        warehouse.rules, exact_rules=(replace(first, when="frist_name = 'exact'"), *rest)
    )
    with pytest.raises(RulesError, match=r"same_user_id.*frist_name"):
        warehouse.resolve()


def test_two_values_of_an_exclusive_identifier_are_two_customers(
    warehouse: Any, smith: dict[str, object]
) -> None:
    warehouse.contact("a:1", user_id="C1", **smith)
    warehouse.contact("a:2", user_id="C2", **smith)
    warehouse.contact("a:3", **smith)
    warehouse.rules = replace(
        warehouse.rules,
        identifiers=tuple(
            replace(i, exclusive=i.identifier_type == "user_id")
            for i in warehouse.rules.identifiers
        ),
    )
    warehouse.resolve()
    assert not same(warehouse, "a:1", "a:2")
    assert same(warehouse, "a:1", "a:3") or same(warehouse, "a:2", "a:3")


def test_identifier_types_without_a_rule_are_reported(warehouse: Any) -> None:
    warehouse.contact("a:1", first_name="Ann")
    warehouse.identifier("a:1", "shoe_size", "42")
    assert warehouse.resolve().unknown_types == ("shoe_size",)


def test_clusters_above_the_cap_are_cut_and_reported(warehouse: Any) -> None:
    for number in range(12):
        warehouse.contact(f"a:{number:02d}", first_name="Ann", email="ann@lee.org")
    guards = replace(warehouse.rules.guards, max_cluster_size=5)
    warehouse.rules = replace(warehouse.rules, guards=guards)
    assert warehouse.resolve().largest_cluster == 5
    assert ("too_large",) in warehouse.con.execute(
        "select kind from identity.held_clusters"
    ).fetchall()


def with_rule(rules: Any, kind: str, **changes: object) -> Any:
    identifiers = tuple(
        replace(i, **changes) if i.identifier_type == kind else i for i in rules.identifiers
    )
    return replace(rules, identifiers=identifiers, config_hash=f"{kind} {changes}")


@pytest.mark.parametrize("scoped", [False, True])
def test_a_scoped_identifier_is_one_persons_within_its_source(warehouse: Any, scoped: bool) -> None:
    warehouse.rules = with_rule(warehouse.rules, "loyalty_card", scoped_to_source=scoped)
    warehouse.contact("one:1", first_name="Ann", loyalty_card="A-17")
    warehouse.contact("one:2", first_name="Ann", loyalty_card="a17")
    warehouse.contact("two:1", first_name="Ann", loyalty_card="A-17")
    warehouse.resolve()
    assert same(warehouse, "one:1", "one:2")
    assert same(warehouse, "one:1", "two:1") is not scoped


def test_a_scoped_identifier_excuses_no_conflict_between_sources(warehouse: Any) -> None:
    for number, source in enumerate(("one", "two"), start=1):
        first = "Ann" if number == 1 else "Bob"
        warehouse.contact(f"{source}:1", first_name=first, user_id="u17", email="home@lee.org")
    warehouse.resolve()
    assert same(warehouse, "one:1", "two:1")
    warehouse.rules = with_rule(warehouse.rules, "user_id", scoped_to_source=True)
    warehouse.resolve()
    assert not same(warehouse, "one:1", "two:1")


@pytest.mark.parametrize(("limit", "is_one"), [(2, False), (3, True)])
def test_a_customer_with_too_many_values_comes_apart_into_its_surest_parts(
    warehouse: Any, limit: int, is_one: bool
) -> None:
    warehouse.rules = with_rule(warehouse.rules, "user_id", max_values=limit)
    mail = {"first_name": "Ann", "email": "ann@lee.org"}
    warehouse.contact("a:1", **mail, user_id="u1")
    warehouse.contact("b:1", **mail, user_id="u2")
    # the name and the postcode are evidence enough, though not of the surest
    warehouse.contact(
        "a:2", first_name="Ann", last_name="Stone", postal_code="02134", email="ann@lee.org"
    )
    warehouse.contact("c:1", first_name="Ann", last_name="Stone", postal_code="02134", user_id="u3")
    warehouse.resolve()
    assert same(warehouse, "a:1", "b:1", "a:2")
    assert same(warehouse, "a:1", "c:1") is is_one
    held = warehouse.con.execute(
        "select kind, identifier_type from identity.held_clusters where identifier_type = 'user_id'"
    ).fetchall()
    assert len(held) == (0 if is_one else 1)
