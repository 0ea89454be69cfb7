"""Why is this person not in the email tool: one test for each way of being missing.

A small published file, a ledger that a real run wrote against a real receiver, and the page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from ingestion import ledger as loads
from orchestration import lock, trace
from orchestration import trace_steps as steps

if TYPE_CHECKING:
    from conftest import World

ROOT = Path(__file__).resolve().parents[2]
NAME = "buyers_to_mail"


def step(found: trace.Trace, name: str) -> steps.Step:
    (one,) = (step for step in found.steps if step.name == name)
    return one


def test_who_is_there_passed_every_step(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    found = world.trace("ann@example.com")
    assert found.is_there
    assert found.first_missing is None
    assert [one.state for one in found.steps] == ["passed"] * 7
    assert found.answer == "is there: webhook holds cus_ann, as of 2026-03-01 00:00"
    assert "upsert ok" in step(found, "destination").details[0]
    assert "2026-01-05 00:00 (forms:ann)" in step(found, "consent").what


def test_an_email_of_nobody(world: World) -> None:
    world.more.append("insert into ops.loads values ('crm', 'contacts', 'failed', 'no such file')")
    world.run()
    found = world.trace("who@example.com")
    assert (found.first_missing, found.customer_id) == ("source", None)
    assert step(found, "source").details == ("failed to load: crm.contacts: no such file",)
    assert {one.state for one in found.steps[1:]} == {"not asked"}


def test_a_row_that_loading_refused(world: World) -> None:
    world.run()
    world.home.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(world.home.warehouse)) as con:
        loads.ensure(con, [])
        con.execute(
            "insert into ops.loads (load_id, source, table_name, origin, status)"
            " values ('l', 'crm', 'contacts', 'crm/contacts.csv', 'loaded')"
        )
        con.execute(
            "insert into ops.quarantine (load_id, row_number, source, table_name, reason, raw)"
            " values ('l', 7, 'crm', 'contacts', 'is no date', 'K-1,Who@example.com,31.31.2026')"
        )
    found = world.trace("who@example.com")
    assert found.answer == "is missing at source: it came, but in rows that were refused"
    assert "crm.contacts, crm/contacts.csv, row 7: is no date" in step(found, "source").details[0]
    assert "mainstem quarantine explain crm.contacts" in str(found.next)
    with lock.hold(world.home.lock, "a test"):
        busy = world.trace("who@example.com")
    assert "is being written" in step(busy, "source").details[0]


def test_a_record_that_is_deleted_or_not_resolved_yet(world: World) -> None:
    contact = (
        "insert into canonical.contacts values ('crm:1', 'crm', '1', 'who@example.com', {}, null)"
    )
    world.more.append(contact.format("true"))
    world.run()
    assert "crm:1 is marked as deleted" in world.trace("who@example.com").answer
    world.more[0] = contact.format("false")
    world.publish()
    found = world.trace("Who@Example.com")
    assert (found.first_missing, found.next) == (
        "identity",
        "`mainstem run`; if it ran, look at what failed in it",
    )


def test_a_visitor_is_no_customer(world: World) -> None:
    world.more += [
        "insert into identity.crosswalk values ('anon:a', 'cus_anon')",
        "insert into identity.resolve_forward values ('cus_anon', 'cus_anon')",
    ]
    world.run()
    found = world.trace("anon:a")
    assert (found.first_missing, step(found, "identity").state) == ("source", "missing")


def test_not_in_the_audience_names_the_condition(world: World, person: Any) -> None:
    world.people["ann"] = person(revenue=30)
    world.run()
    found = world.trace("cus_ann")
    assert found.answer == "is missing at audience: not in aud_buyers"
    assert step(found, "audience").details == ("fails: revenue >= 100 (revenue is 30.0)",)
    assert found.next is not None
    assert "mainstem audience preview aud_buyers --customer cus_ann" in found.next


def test_who_left_the_audience_was_removed(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    world.people["ann"] = person(revenue=30, was_member=True)
    world.publish()
    before = world.trace("cus_ann")
    assert before.is_there
    assert before.answer.endswith("the next run removes them")
    world.run()
    after = world.trace("cus_ann")
    assert not after.is_there
    assert after.answer == (
        "is missing at audience: left aud_buyers on 2026-02-20 00:00 (not selected any more)"
    )
    assert step(after, "destination").details[0] == "was there until 2026-03-02 00:00"


@pytest.mark.parametrize(
    ("consent", "until", "words"),
    [
        (None, None, "no decision about marketing by email has ever come in"),
        ("withdrawn", None, "withdrawn on 2026-01-05 00:00 (forms:ann)"),
        ("denied", None, "denied on 2026-01-05 00:00 (forms:ann)"),
        ("granted", "2026-02-01", "no decision about marketing by email is in force"),
    ],
)
def test_without_consent(
    world: World, person: Any, consent: str | None, until: str | None, words: str
) -> None:
    world.people["ann"] = person(consent=consent, until=until)
    world.run()
    found = world.trace("cus_ann")
    assert found.first_missing == "consent"
    assert words in found.answer
    if until:
        assert step(found, "consent").details[0] == (
            "granted on 2026-01-05 00:00 (forms:ann), until 2026-02-01 00:00"
        )


def test_a_withdrawal_that_has_not_been_sent_yet(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    world.people["ann"].consent = "withdrawn"
    world.publish()
    found = world.trace("cus_ann")
    assert found.is_there
    assert found.first_missing == "consent"
    assert "the next run removes them" in found.answer
    assert "the next run removes it: consent is gone" in step(found, "destination").details


def test_held_out_by_an_experiment(world: World, person: Any) -> None:
    world.people["ann"] = person(is_held_out=True)
    world.run()
    found = world.trace("cus_ann")
    assert found.first_missing == "experiment"
    assert "control of mails since 2026-02-03" in found.answer


def test_a_required_field_without_a_value(world: World, person: Any) -> None:
    world.people["ann"] = person(email=None)
    world.run()
    found = world.trace("cus_ann")
    assert found.answer == "is missing at row: email is required, and email is empty"
    assert "mainstem customer cus_ann" in str(found.next)


def test_a_row_key_that_somebody_else_has(world: World, person: Any) -> None:
    world.people |= {"ann": person(email="us@example.com"), "bob": person(email="us@example.com")}
    world.sync = replace(world.sync, row_key="email")
    world.run()
    assert world.trace("cus_ann").is_there
    found = world.trace("cus_bob")
    assert (found.first_missing, found.is_there) == ("row", False)
    assert "row key of cus_ann already" in found.answer
    assert "mainstem explain cus_bob cus_ann" in str(found.next)


def test_a_row_that_the_destination_refuses(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.bad_keys.add("cus_ann")
    world.run()
    found = world.trace("cus_ann")
    assert found.first_missing == "destination"
    assert "webhook refused cus_ann once since 2026-03-01" in found.answer
    assert "bounced: no such mailbox" in found.answer


def test_a_row_that_was_refused_too_often_is_parked(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.bad_keys.add("cus_ann")
    world.sync = replace(world.sync, max_attempts=2)
    for _ in range(3):
        world.run()
    found = world.trace("cus_ann")
    assert "webhook refused cus_ann 2 times since 2026-03-01" in found.answer
    assert "not tried again until its fields change, or `mainstem sync buyers_to_mail --full`" in (
        str(found.next)
    )


def test_a_run_that_a_guard_blocked(world: World, person: Any) -> None:
    world.people |= {f"p{n}": person() for n in range(40)}
    world.run()
    world.people |= {f"p{n}": person(revenue=1) for n in range(30)} | {"new": person()}
    assert world.run().status == "blocked"
    found = world.trace("cus_new")
    assert found.first_missing == "destination"
    assert "the run of 2026-03-02 00:00 ended blocked" in found.answer
    assert "--accept" in step(found, "destination").details[0]
    assert world.trace("cus_p1").answer.endswith("the next run removes them")


def test_a_run_that_has_not_ended(world: World, person: Any) -> None:
    world.run()
    world.people["ann"] = person()
    world.run()
    with duckdb.connect(str(world.home.sync_ledger)) as con:
        con.execute("delete from sync_state")
        con.execute("update sync_runs set status = 'running'")
    world.publish()
    assert "has not ended: it is under way, or was killed" in world.trace("cus_ann").answer


def test_before_the_first_run_and_after_one_that_came_too_early(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.publish()
    assert "buyers_to_mail has never run" in world.trace("cus_ann").answer
    world.run()
    world.people["bob"] = person()
    world.publish()
    found = world.trace("cus_bob")
    assert "they came after the run of 2026-03-01" in found.answer
    assert found.next == "`mainstem sync buyers_to_mail`"


def test_pending_after_a_run_that_could_not_deliver(world: World, person: Any) -> None:
    world.people["ann"] = person()
    assert world.run(url="http://127.0.0.1:9/").status == "incomplete"
    found = world.trace("cus_ann")
    assert found.first_missing == "destination"
    assert "ended incomplete, with 1 rows pending" in found.answer
    assert "config.meta.sync" in step(found, "destination").details[0]


def test_nothing_is_sent_while_consents_cannot_be_loaded(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.more.append(
        "insert into ops.loads values ('forms', 'consents', 'failed', 'no such file')"
    )
    settings = world.home.dbt_project / "dbt_project.yml"
    settings.write_text("name: p\nvars: {sources: {forms: [consents]}}\n")
    world.publish()
    found = world.trace("cus_ann")
    assert "no sync may send now: forms.consents could not be loaded" in found.answer
    settings.write_text("name: p\nvars: {sources: {crm: [consents]}}\n")
    assert "has never run" in world.trace("cus_ann").answer


def test_a_merged_id_leads_to_its_heir(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    world.more += [
        "insert into identity.resolve_forward values ('cus_old', 'cus_ann')",
        "insert into identity.history values ('merge', 'cus_old', 'cus_ann', 'new evidence',"
        " timestamp '2026-02-10')",
    ]
    world.publish()
    found = world.trace("cus_old")
    assert (found.customer_id, found.is_there) == ("cus_ann", True)
    assert step(found, "identity").details == (
        "has taken in cus_old on 2026-02-10 00:00 (new evidence)",
    )
    world.more += [
        "insert into identity.resolve_forward values ('cus_older', 'cus_ann')",
        "insert into identity.history values ('merge', 'cus_older', 'cus_old', 'new evidence',"
        " timestamp '2026-02-01'), ('split', 'cus_x', 'cus_ann', 'a login', timestamp '2026-02-20')",
    ]
    world.publish()
    assert step(world.trace("cus_older"), "identity").details == (
        "was split off cus_x on 2026-02-20 00:00 (a login)",
        "has taken in cus_old on 2026-02-10 00:00 (new evidence)",
        "cus_older leads to it by way of another merge",
    )


def test_somebody_erased_may_be_there_all_the_same(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    del world.people["ann"]
    world.more += [
        "insert into identity.resolve_forward values ('cus_ann', null)",
        "insert into identity.history values ('erase', 'cus_ann', null, 'no record left',"
        " timestamp '2026-03-05')",
    ]
    world.publish()
    found = world.trace("cus_ann")
    assert found.is_there
    assert found.answer.startswith("is still there, although was a customer until 2026-03-05")
    assert "the next run removes them" in found.answer


def test_a_value_that_links_nobody_is_said_to(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.more.append(
        "insert into identity.identifiers values ('shop:ann', 'email', 'info@example.com', true,"
        " 'placeholder')"
    )
    world.run()
    assert "that email is held back (placeholder): it is on 1 records" in str(
        step(world.trace("info@example.com"), "identity").details
    )


def test_what_was_sent_and_not_published(world: World, person: Any) -> None:
    world.people["ann"] = person()
    world.run()
    later = world.home.published.stat().st_mtime + 60
    os.utime(world.home.sync_ledger, (later, later))
    # written, but with nothing new in it
    assert world.trace("cus_ann").notes == ()
    with duckdb.connect(str(world.home.sync_ledger)) as con:
        con.execute("update sync_runs set status = 'running'")
    os.utime(world.home.sync_ledger, (later, later))
    assert "killed before it could publish" in world.trace("cus_ann").notes[0]
    with lock.hold(world.home.lock, "a test"):
        assert "a run is under way" in world.trace("cus_ann").notes[0]


def test_the_command_imports_neither_dagster_nor_dbt(world: World, person: Any) -> None:
    world.people["ann"] = person(revenue=1)
    world.run()
    world.write_manifest()
    code = (
        "import sys; from orchestration.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('dagster', 'dbt', 'pandas') if m in sys.modules], file=sys.stderr)"
    )
    places = {"MAINSTEM_PROJECT": str(world.home.root), "MAINSTEM_HOME": str(world.home.data)}

    def mainstem(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "trace", *arguments],
            env={**os.environ, **places, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    done = mainstem("ann@example.com", NAME, "--json")
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert json.loads(done.stdout)["first_missing"] == "audience"
    page = mainstem("ann@example.com", NAME).stdout
    assert "✗ audience    not in aud_buyers" in page
    assert "✓ consent     marketing by email granted" in page
    unknown = mainstem("ann@example.com", "buyers_to_mial")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(
        f"mainstem: there is no sync buyers_to_mial; did you mean {NAME}?"
    )
