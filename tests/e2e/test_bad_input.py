"""What goes wrong at one source is named, and stops none of the others."""

from __future__ import annotations

from typing import Any

import asyncssh
import pytest

pytestmark = pytest.mark.e2e


def test_bad_sources_are_named_and_the_others_load(next_day: Any) -> None:
    """An unreadable CSV, half a JSON array, an unknown key and an unreachable host, all at once."""
    company = next_day.project / "seeds" / "company"
    (company / "newsletter" / "signups.csv").write_bytes(bytes(range(256)) * 400)
    customers = company / "shop" / "customers.json"
    customers.write_bytes(customers.read_bytes()[:500_000])
    declared = next_day.project / "dbt_project" / "models" / "staging" / "crm" / "_crm.yml"
    declared.write_text(
        declared.read_text(encoding="utf-8").replace("newest_by:", "newest_bi:"), encoding="utf-8"
    )
    # A port of this machine that nothing listens on.
    key = next_day.project / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    next_day.variables |= {
        "MAINSTEM_STORES_SFTP_HOST": "127.0.0.1",
        "MAINSTEM_STORES_SFTP_PORT": "9",
        "MAINSTEM_STORES_SFTP_KEY": str(key),
        "MAINSTEM_STORES_SFTP_KNOWN_HOSTS": "none",
    }
    outcome = next_day.run(expect=3)
    assert outcome["status"] == "incomplete"
    left_out = "\n".join(outcome["left_out"])
    for words in (
        ("newsletter.signups", "signups.csv"),
        ("shop.customers", "customers.json"),
        ("crm.contacts", "_crm.yml", "newest_bi", "newest_by"),
        ("stores.receipts", "host"),
    ):
        line = next((line for line in left_out.splitlines() if words[0] in line), "")
        assert all(word in line for word in words), (words, left_out)
    rows = dict(
        next_day.query(
            "select source || '.' || table_name, sum(rows_loaded) from ops.loads group by 1"
        )
    )
    assert rows["web.events"] > 8_000
    assert rows["shop.orders"] > 5_000
    assert rows["consents.consents"] > 6_000
    errors = next_day.query("select error from ops.loads where status = 'failed'")
    assert len(errors) >= 5
    shown = next_day.command("status").stdout
    assert "signups.csv" in shown


def test_a_model_that_does_not_compile_is_named(next_day: Any) -> None:
    model = next_day.project / "dbt_project" / "models" / "audiences" / "aud_new_customers_7d.sql"
    model.write_text(
        "select customer_id, first_ordered_at from {{ ref('customer_orders') }}", encoding="utf-8"
    )
    published = next_day.home / "published" / "mainstem.duckdb"
    before = published.stat().st_mtime_ns
    outcome = next_day.run(expect=1)
    assert "aud_new_customers_7d" in "\n".join(outcome["errors"])
    assert published.stat().st_mtime_ns == before, "what was published stays"
    model.write_text("select customer_id from {{ ref('customer_order') }}", encoding="utf-8")
    outcome = next_day.run(expect=1)
    assert "customer_order" in "\n".join(outcome["errors"])


def test_a_second_writer_is_told_who_is_busy(elsewhere: Any) -> None:
    from orchestration import lock

    with lock.hold(elsewhere.home / "mainstem.lock", "a test"):
        done = elsewhere.command("run", check=False)
    assert done.returncode == 1
    assert "a test" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_published_yet_says_what_to_do(elsewhere: Any) -> None:
    done = elsewhere.command("sql", "select 1", check=False)
    assert done.returncode == 1
    assert "mainstem run" in done.stderr
