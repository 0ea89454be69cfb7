"""What loading costs beyond DuckDB itself: types, ledger and quarantine against a bare read.

    python -m benchmarks.ingest [--scale F] [--repeats N] [--without-dlt]

Writes ten million orders (F times as many) as CSV and as NDJSON. Bare is `create table as select *
from read_csv` (`read_json`) with the same declared types, in the same process settings, into a
file, checkpoint included. Each side runs in a process of its own, in turn; the fastest of N counts,
and the highest peak of memory. dlt loads the CSV in its fastest documented mode (Arrow batches,
Parquet to the destination), in a virtual environment of its own. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb

from benchmarks.projects import ROOT
from ingestion import ledger, load
from ingestion.sources import Arrival, Column, Format, Ingest, SourceTable

ROWS = 10_000_000
THREADS = 2
MEMORY = "600MB"
LIMIT_SECONDS = 3_600
DLT = ("dlt[duckdb]==1.31.0", f"duckdb=={duckdb.__version__}", "pyarrow")
TYPES = {
    "order_id": "BIGINT",
    "customer_id": "VARCHAR",
    "email": "VARCHAR",
    "ordered_at": "TIMESTAMP",
    "amount": "DECIMAL(18,2)",
    "quantity": "INTEGER",
    "country": "VARCHAR",
    "is_member": "BOOLEAN",
}
ORDERS = """
    select i as order_id, 'cus_' || hash(i) % 500000 as customer_id,
        'user' || hash(i + 7) % 500000 || '@example.com' as email,
        timestamp '2026-01-01' + to_seconds((hash(i + 3) % 15000000)::bigint) as ordered_at,
        (hash(i + 5) % 1000000)::decimal(18, 2) / 100 as amount,
        (hash(i + 9) % 9 + 1)::integer as quantity,
        ['DE', 'FR', 'GB', 'US', 'JP'][(hash(i + 11) % 5 + 1)::integer] as country,
        hash(i + 13) % 2 = 0 as is_member
    from range({rows}) as t(i)
"""
DLT_SCRIPT = """
import sys, time, resource, json
import pyarrow as pa, pyarrow.csv as pc
import dlt
kinds = dict(order_id=pa.int64(), customer_id=pa.string(), email=pa.string(),
    ordered_at=pa.timestamp("us"), amount=pa.decimal128(18, 2), quantity=pa.int32(),
    country=pa.string(), is_member=pa.bool_())
@dlt.resource(name="orders", write_disposition="replace")
def orders():
    options = pc.ConvertOptions(column_types=kinds)
    blocks = pc.ReadOptions(block_size=32 << 20)
    for batch in pc.open_csv(sys.argv[1] + "/orders.csv", blocks, convert_options=options):
        yield pa.Table.from_batches([batch])
start = time.perf_counter()
pipeline = dlt.pipeline("bench", pipelines_dir=sys.argv[2] + "/pipelines", dataset_name="bench",
    destination=dlt.destinations.duckdb(sys.argv[2] + "/dlt.duckdb"))
pipeline.run(orders(), loader_file_format="parquet")
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"seconds": seconds, "peak_kb": used.ru_maxrss, "cpu": cpu}))
"""


def connected(path: Path) -> duckdb.DuckDBPyConnection:
    """A new warehouse with the settings of every side."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS,
        "memory_limit": MEMORY,
        "preserve_insertion_order": False,
    }
    return duckdb.connect(str(path), config=config)


def bare(folder: Path, workspace: Path, kind: str) -> float:
    """Seconds that DuckDB alone takes, told everything that the declaration says."""
    columns = ", ".join(f"'{name}': '{kind_}'" for name, kind_ in TYPES.items())
    how = "header = true, auto_detect = false" if kind == "csv" else "format = 'newline_delimited'"
    reader = "read_csv" if kind == "csv" else "read_json"
    start = time.perf_counter()
    with connected(workspace / "bare.duckdb") as con:
        con.execute(
            f"create table orders as select * from "
            f"{reader}('{folder}/orders.{kind}', columns = {{{columns}}}, {how})"
        )
        con.execute("checkpoint")
    return time.perf_counter() - start


def mainstem(folder: Path, workspace: Path, kind: str, key: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of a load, and of the same load again with nothing new."""
    columns = tuple(Column(name, kind_) for name, kind_ in TYPES.items())
    form = Format("csv" if kind == "csv" else "ndjson")
    ingest = Ingest("files", "x", form, key=key, mode="upsert" if key else "append")
    table = SourceTable("shop", "orders", "raw_shop", Path("x.yml"), 1, columns, ingest)
    arrivals = [Arrival(folder / f"orders.{kind}", f"orders.{kind}")]
    seconds = []
    for run, status in (("first", "loaded"), ("again", "unchanged")):
        start = time.perf_counter()
        with connected(workspace / "mainstem.duckdb") as con:
            ledger.ensure(con, [table])
            (result,) = load.load(con, table, arrivals, run_id=run, now=datetime(2026, 7, 1))
            con.execute("checkpoint")
        if (result.status, result.rows_quarantined) != (status, 0):
            sys.exit(f"the load ended otherwise than it should: {result}")
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def side(name: str, folder: Path, workspace: Path) -> dict[str, float]:
    """One side, in this process."""
    who, kind = name.split("_")
    again = 0.0
    if who == "bare":
        seconds = bare(folder, workspace, kind)
    else:
        key = ("order_id",) if who == "upsert" else ()
        seconds, again = mainstem(folder, workspace, kind, key)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    return {"seconds": seconds, "again": again, "peak_kb": used.ru_maxrss, "cpu": cpu}


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """What a side printed as its last line, its workspace gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        done = subprocess.run(
            [*command, str(folder), workspace],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        sys.exit(f"a side ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def dlt_python(folder: Path) -> str:
    """dlt in an environment of its own, pinned, gone with the benchmark."""
    uv = str(Path(sys.executable).parent / "uv")
    python = str(folder / "peer" / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "peer")],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *DLT],
    ):
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    return python


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times 10,000,000 rows")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--without-dlt", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("places", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(side(given.side, *map(Path, given.places))))
        return
    rows = int(ROWS * given.scale)
    names = ["bare_csv", "append_csv", "upsert_csv", "bare_ndjson", "append_ndjson"]
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mainstem-bench-") as place:
        folder = Path(place)
        with connected(folder / "orders.duckdb") as con:
            for kind, options in (("csv", "header"), ("ndjson", "format json")):
                con.execute(
                    f"copy ({ORDERS.format(rows=rows)}) to '{folder}/orders.{kind}' ({options})"
                )
        commands = {n: [sys.executable, "-m", "benchmarks.ingest", "--side", n] for n in names}
        if not given.without_dlt:
            commands["dlt_csv"] = [dlt_python(folder), "-c", DLT_SCRIPT]
        for _ in range(given.repeats):
            for name, command in commands.items():
                new = measured(command, folder)
                old = best.get(name, new)
                best[name] = {
                    "seconds": min(new["seconds"], old["seconds"]),
                    "cpu": min(new["cpu"], old["cpu"]),
                    "again": max(new.get("again", 0.0), old.get("again", 0.0)),
                    "peak_kb": max(new["peak_kb"], old["peak_kb"]),
                }
    for name, what in best.items():
        print(f"{name:<14}{what['seconds']:8.2f} s  {what['peak_kb'] / 1024:7.0f} MB at most")

    def ratios(what: str) -> dict[str, float | None]:
        pairs = {
            "csv_vs_bare": ("append_csv", "bare_csv"),
            "ndjson_vs_bare": ("append_ndjson", "bare_ndjson"),
            "upsert_vs_bare": ("upsert_csv", "bare_csv"),
            "vs_dlt": ("append_csv", "dlt_csv"),
        }
        return {
            name: round(best[ours][what] / best[theirs][what], 2) if theirs in best else None
            for name, (ours, theirs) in pairs.items()
        }

    own = ("append_csv", "upsert_csv", "append_ndjson")
    figures = {
        "rows": rows,
        "peak_memory_mb": {n: round(best[n]["peak_kb"] / 1024) for n in best},
        "rerun_seconds_per_source": round(max(best[n]["again"] for n in own), 3),
        # On a machine that does other things too, these say more than the clock.
        "cpu_ratios": ratios("cpu"),
        "cpu_seconds": {n: round(what["cpu"], 2) for n, what in best.items()},
        "seconds": {n: round(what["seconds"], 2) for n, what in best.items()},
    }
    print(json.dumps({"benchmark": "ingest", "ratios": ratios("seconds"), "figures": figures}))


if __name__ == "__main__":
    main()
