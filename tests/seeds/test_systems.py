"""The company's further systems: consistent with the rest of it, and as untidy as such systems are."""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import phonenumbers
import pytest

from seeds import places
from seeds.generate import COMPANY, main
from seeds.people import Registry

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


def scripts_of(text: str) -> set[str]:
    """The writing systems of a text's letters."""
    return {unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}


def test_all_files_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in COMPANY.rglob("*") if path.is_file()) < 14e6


def test_names_are_written_in_five_other_scripts_and_transliterated(company) -> None:
    names = [f"{row['first_name']} {row['last_name']}" for row in company.customers]
    found = Counter(script for name in names for script in scripts_of(name))
    assert all(found[script] >= 2 for script in ("GREEK", "CYRILLIC", "ARABIC", "CJK"))
    spellings: dict[str, set[frozenset[str]]] = {}
    for row in company.truth:
        labels = {"native_script", "transliterated"} & set(row["traps"].split())
        if row["person_id"] > "P05000":
            spellings.setdefault(row["person_id"], set()).add(frozenset(labels))
    assert len(spellings) == 80
    assert sum(len(ways) > 1 for ways in spellings.values()) > 40
    assert any("CJK" in scripts_of(t["requester"]["name"]) for t in company.tickets)


def test_free_text_has_emoji(company) -> None:
    texts = [t["subject"] + t["description"] for t in company.tickets]
    texts += [m["marketing_campaign_name"] for m in company.mail]
    texts += [row["note"] for row in company.calls]
    assert sum(any(unicodedata.category(c) == "So" for c in text) for text in texts) > 100


def test_purchases_in_the_app_have_accounts_and_whole_amounts(company) -> None:
    accounts = {row["account_id"]: row for row in company.app_accounts}
    customers = {row["id"] for row in company.customers}
    assert len(company.app_purchases) > 200
    for row in company.app_purchases:
        assert accounts[row["account_id"]]["created_at"] <= row["purchased_at"] < "2026-07-01"
        assert row["price_minor"] > 0
        assert row["quantity"] > 0
    linked = [row["shop_customer_id"] for row in company.app_accounts if row["shop_customer_id"]]
    assert len(linked) > 20
    assert set(linked) <= customers


def test_ads_name_every_day_once_for_each_place(company) -> None:
    days = [row for row in company.search_ads if row["Day"] != "Total: account"]
    totals = [row for row in company.search_ads if row["Day"] == "Total: account"]
    keys = Counter((row["Day"], row["Ad ID"], row["Country/Territory"]) for row in days)
    assert max(keys.values()) == 1
    assert len({row["Day"] for row in days}) == 365
    assert sum(Decimal(row["Cost"]) for row in days) == Decimal(totals[0]["Cost"])
    parts = ("date_start", "ad_id", "publisher_platform", "platform_position", "country")
    keys = Counter(tuple(row[part] for part in parts) for row in company.social_ads)
    assert max(keys.values()) == 1
    for row in company.social_ads:
        assert int(row["inline_link_clicks"]) <= int(row["impressions"])


def test_mail_is_delivered_before_it_is_opened_and_comes_twice_now_and_then(company) -> None:
    kinds = Counter(line["event"] for line in company.mail)
    assert set(kinds) >= {"processed", "delivered", "open", "click", "bounce", "unsubscribe"}
    ids = Counter(line["sg_event_id"] for line in company.mail)
    assert sum(n - 1 for n in ids.values()) == 5
    delivered = {
        m["sg_message_id"]: m["timestamp"] for m in company.mail if m["event"] == "delivered"
    }
    for line in company.mail:
        assert line["timestamp"] < AS_OF.timestamp()
        if line["event"] in ("open", "click", "unsubscribe", "spamreport"):
            assert delivered[line["sg_message_id"]] < line["timestamp"]
    gone: dict[str, int] = {}
    for line in sorted(company.mail, key=lambda m: m["timestamp"]):
        if line["event"] in ("bounce", "unsubscribe", "spamreport"):
            gone.setdefault(line["email"], line["timestamp"])
    later = [m for m in company.mail if m["event"] == "processed" and m["email"] in gone]
    assert all(m["timestamp"] < gone[m["email"]] for m in later)


def test_callers_numbers_are_national_and_some_are_customers(company) -> None:
    def number(text: str, country: str) -> str:
        parsed = phonenumbers.parse(text, country)
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)

    phones = [row["phone"] or "" for row in company.customers]
    given = {number(phone, "US") for phone in phones if phone.startswith("+")}
    callers = [
        row for row in company.calls if row["customer_phone_number"] not in ("", "Anonymous")
    ]
    assert 0 < len(company.calls) - len(callers) < 60
    assert not any(row["customer_phone_number"].startswith(("+", "00")) for row in callers)
    heard = {number(row["customer_phone_number"], row["customer_country"]) for row in callers}
    assert len(heard & given) > 20


def test_deals_and_tickets_and_machines_name_who_exists(company) -> None:
    contacts = {row["ContactID"] for row in company.contacts}
    assert {row["crm_contact"] for row in company.deals} <= contacts
    assert len({row["reference"] for row in company.deals}) == len(company.deals) > 100
    for ticket in company.tickets:
        if ticket["solved_at"]:
            assert ticket["created_at"] < ticket["solved_at"] == ticket["updated_at"]
        assert ticket["requester"]["created_at"] <= ticket["created_at"] < "2026-07-01"
    serials = {row["owner_id"]: row["serial"] for row in company.registrations}
    nobodys = [line for line in company.telemetry if line["owner_id"] is None]
    assert 0 < len(nobodys) < len(company.telemetry) / 5
    for line in company.telemetry:
        if line["owner_id"]:
            assert serials[line["owner_id"]] == line["serial"]
    ids = Counter(line["event_id"] for line in company.telemetry)
    assert sum(n - 1 for n in ids.values()) == 6


@pytest.mark.parametrize("country", places.BEYOND)
def test_a_large_company_has_a_telephone_number_for_everybody(country) -> None:
    registry = Registry(Random(1))
    reserved = len(registry.free[country])
    numbers = {registry.phone(country).key for _ in range(reserved + 20_000)}
    assert len(numbers) == reserved + 20_000
    beyond = [registry.phone(country).key for _ in range(200)]
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(f"+{key}")) for key in beyond)


def test_scale_is_how_many_times_the_sample(tmp_path, capsys) -> None:
    main(["--scale", "0.02", "--out", str(tmp_path / "a")])
    main(["--scale", "0.02", "--out", str(tmp_path / "b")])
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(files) == 25
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    truth = (tmp_path / "a/truth/contacts.csv").read_text().splitlines()[1:]
    assert len({line.split(",")[2] for line in truth}) == 102
    with pytest.raises(SystemExit):
        main(["--scale", "0"])
    assert "--scale" in capsys.readouterr().err
