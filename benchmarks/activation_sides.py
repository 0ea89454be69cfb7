"""Mainstem's sides of the benchmark of activation, each a process that imports what a sync needs.

python -m benchmarks.activation_sides {first | again | plan} <folder> <url>
python -m benchmarks.activation_sides publish <folder> <rows>
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from reverse_etl import engine, ledger, plan
from reverse_etl.declarations import Sync

BATCH_ROWS = 1_000
SECRET = "no secret"  # noqa: S105
PUBLISHED = """
    CREATE SCHEMA audiences; CREATE SCHEMA marts; CREATE SCHEMA identity; CREATE SCHEMA canonical;
    CREATE TABLE people AS
        SELECT 'cus_' || sha256(i::VARCHAR)[:24] AS customer_id, 'user' || i || '@example.com' AS email,
            'Name ' || i % 5000 AS first_name, (i % 100000 / 100)::DECIMAL(18, 2) AS cart_value,
            TIMESTAMP '2026-01-01' + INTERVAL (i) SECOND AS abandoned_at
        FROM range({rows}) AS t(i);
    CREATE TABLE audiences.aud_cart AS SELECT customer_id, cart_value, abandoned_at FROM people;
    CREATE TABLE marts.golden_customers AS SELECT customer_id, email, first_name FROM people;
    CREATE TABLE marts.customer_consents AS
        SELECT customer_id, 'marketing' AS purpose, 'email' AS channel, 'granted' AS status FROM people;
    CREATE TABLE identity.history
        (event VARCHAR, from_customer_id VARCHAR, to_customer_id VARCHAR);
    CREATE TABLE audiences.definitions AS SELECT 'aud_cart' AS audience_id, 'none' AS experiment_id;
    CREATE TABLE canonical.experiments
        (experiment_id VARCHAR, kind VARCHAR, is_running BOOLEAN);
    CREATE TABLE canonical.experiment_assignments
        (experiment_id VARCHAR, unit_id VARCHAR, variant VARCHAR);
"""


def write_published(folder: Path, rows: int) -> None:
    """The published file, and the table that drt reads, in a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(folder / "published.duckdb"), config={"memory_limit": "1GB"}) as con:
        con.execute(PUBLISHED.format(rows=rows))
        con.execute(f"ATTACH '{folder}/drt.duckdb' AS drt; CREATE TABLE drt.people AS FROM people")
        con.execute("DROP TABLE people")


def sync_to(url: str) -> Sync:
    """The sync that is measured."""
    return Sync(
        name="carts",
        path="_syncs.yml",
        destination="webhook",
        channel="email",
        audience_id="aud_cart",
        audience_schema="audiences",
        audience_table="aud_cart",
        consent_purpose="marketing",
        row_key="customer_id",
        fields=(
            ("email", "email"),
            ("first_name", "first_name"),
            ("cart_value", "cart_value"),
            ("abandoned_at", "abandoned_at"),
        ),
        required=("email",),
        mode="mirror",
        batch_rows=BATCH_ROWS,
        connection={"url": url, "secret": "${SECRET}"},
    )


def side(name: str, folder: Path, url: str) -> None:
    """One side of Mainstem, in this process; prints what it found as one JSON line."""
    sync, published = sync_to(url), folder / "published.duckdb"
    begun = time.perf_counter()
    if name == "plan":
        with ledger.connect(folder / "ledger.duckdb") as con:
            begun = time.perf_counter()
            plan.make(con, sync, published)
            seconds = time.perf_counter() - begun
            ((due,),) = con.execute("SELECT count(*) FROM plan WHERE position > 0").fetchall()
        print(json.dumps({"seconds": seconds, "rows": due}))
        return
    result = engine.run(
        sync,
        published=published,
        ledger=folder / "ledger.duckdb",
        run_id=name,
        env={"SECRET": SECRET},
        now=datetime.now(UTC),
    )
    found = {"seconds": time.perf_counter() - begun, "rows": result.rows_added}
    print(json.dumps(found | {"requests": result.requests, "error": result.error}))


if __name__ == "__main__":
    name, place, given = sys.argv[1:]
    if name == "publish":
        write_published(Path(place), int(given))
    else:
        side(name, Path(place), given)
