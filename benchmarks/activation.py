"""What a sync costs: drt-core beside Mainstem, a second run, and a million rows.

    python -m benchmarks.activation [--scale F] [--repeats N] [--without-drt]

Sends 100,000 rows (F times as many) in batches of 1,000 to an HTTP endpoint that runs beside, in a
process of its own: with drt-core (pinned, in a virtual environment of its own, the batch template
of its documentation, no pacing), which reads one table, and with Mainstem, which joins consents, writes a ledger
and signs. Each side is a process; wall clock, CPU and peak memory are those of the whole process.
Then the same sync again, with nothing new; and a million rows (F times as many): a first run, the
plan when 1 % has changed, and the memory of first runs of half and of twice as many rows. Ends with
one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import httpx

from benchmarks import activation_drt
from benchmarks.activation_sides import BATCH_ROWS
from benchmarks.projects import ROOT

ROWS = 100_000
MANY_ROWS = 1_000_000
LIMIT_SECONDS = 1_800
SIDES = (sys.executable, "-m", "benchmarks.activation_sides")


@contextmanager
def endpoint() -> Iterator[str]:
    """An endpoint in a process of its own; its address. GET tells and forgets what arrived."""
    command = [sys.executable, "-m", "benchmarks.activation", "--endpoint"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (process.stdout or sys.stdin).readline().strip()
        finally:
            process.terminate()
            process.wait(timeout=10)


def serve() -> None:
    """Answer every POST with 200, and a GET with the number of requests and rows since the last."""
    seen, lock = {"requests": 0, "rows": 0}, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # headers and body are two writes here; with Nagle's algorithm the second would wait 40 ms for
        # the client's delayed acknowledgement on every connection that is kept
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                seen["requests"] += 1
                seen["rows"] += body.count(b'"email"')
            self.answer(b"{}")

        def do_GET(self) -> None:
            with lock:
                told = json.dumps(seen).encode()
                seen.update(requests=0, rows=0)
            self.answer(told)

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}/rows", flush=True)
    server.serve_forever()


def arrived(url: str) -> dict[str, int]:
    """What the endpoint got since it was asked last."""
    found: dict[str, int] = httpx.get(url, timeout=30, trust_env=False).json()
    return found


def measured(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of a process; the numbers in its last line beside."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        # modules that changed are compiled by the first repeat, and not by every one
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(command, cwd=cwd, env=kept | env, stdout=out, stderr=out)
        timer = threading.Timer(LIMIT_SECONDS, process.kill)
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode != 0:
        sys.exit(f"a side ended with {process.returncode}:\n{said}")
    found = {
        "seconds": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
    }
    last = said.strip().splitlines()[-1] if said.strip() else ""
    told = json.loads(last) if last.startswith("{") else {}
    return found | {f"own_{key}": value for key, value in told.items()}


def mainstem(name: str, folder: Path, url: str) -> dict[str, float]:
    """A side of Mainstem, measured."""
    return measured([*SIDES, name, str(folder), url], cwd=ROOT, env={})


def publish(folder: Path, rows: int) -> None:
    """Make the published files, in a process of its own: what a process that is begun later is said to
    have used at most is no less than what this one has in memory then."""
    command = [*SIDES, "publish", str(folder), str(rows)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=LIMIT_SECONDS)


def compare(folder: Path, url: str, rows: int, repeats: int, with_drt: bool) -> dict[str, float]:
    """Both sides in turn, each at its best; then Mainstem once more with nothing new."""
    publish(folder, rows)
    command = activation_drt.prepare(folder, url, BATCH_ROWS) if with_drt else []
    found: dict[str, float] = {}

    def keep(who: str, new: dict[str, float]) -> None:
        if (got := arrived(url)["rows"]) != rows:
            sys.exit(f"{who} sent {got} rows of {rows}: {new}")
        for key in ("seconds", "cpu"):
            found[f"{who}_{key}"] = min(new[key], found.get(f"{who}_{key}", new[key]))
        found[f"{who}_peak_mb"] = max(new["peak_mb"], found.get(f"{who}_peak_mb", 0))

    for _ in range(repeats):
        (folder / "ledger.duckdb").unlink(missing_ok=True)
        keep("mainstem", mainstem("first", folder, url))
        if command:
            keep("drt", measured(command, cwd=folder, env={"HOME": str(folder)}))
    again = mainstem("again", folder, url)
    found["unchanged_requests"] = arrived(url)["requests"]
    found["unchanged_seconds"] = again["own_seconds"]
    return found


def first_run(folder: Path, url: str, rows: int) -> dict[str, float]:
    """A first run of so many rows, all of which have to arrive."""
    publish(folder, rows)
    first = mainstem("first", folder, url)
    if (got := arrived(url)["rows"]) != rows:
        sys.exit(f"{got} rows of {rows} arrived: {first}")
    return first


def a_million(folder: Path, url: str, rows: int) -> dict[str, float]:
    """A first run of many rows, and the plan after 1 % has changed."""
    first = first_run(folder, url, rows)
    with duckdb.connect(str(folder / "published.duckdb")) as con:
        con.execute("SET memory_limit = '200MB'")
        con.execute(
            "UPDATE audiences.aud_cart SET cart_value = cart_value + 1 WHERE hash(customer_id) % 100 = 0"
        )
    changed = mainstem("plan", folder, url)
    return {
        "million_seconds": first["seconds"],
        "million_cpu": first["cpu"],
        "million_peak_mb": first["peak_mb"],
        "plan_seconds_million": changed["own_seconds"],
        "plan_cpu_million": changed["cpu"],
        "plan_peak_mb": changed["peak_mb"],
        "plan_rows": changed["own_rows"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times 100,000 and 1,000,000 rows")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--without-drt", action="store_true")
    parser.add_argument("--without-million", action="store_true")
    parser.add_argument("--endpoint", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.endpoint:
        serve()
    with tempfile.TemporaryDirectory(prefix="mainstem-bench-") as place, endpoint() as url:
        rows = int(ROWS * given.scale)
        found = compare(Path(place) / "few", url, rows, given.repeats, not given.without_drt)
        if not given.without_million:
            many = int(MANY_ROWS * given.scale)
            found |= a_million(Path(place) / "many", url, many)
            for name, rows_then in (("half", many // 2), ("double", many * 2)):
                first = first_run(Path(place) / name, url, rows_then)
                found[f"{name}_million_peak_mb"] = first["peak_mb"]
    ratios = (
        {
            "rows_per_second_vs_drt": round(found["drt_seconds"] / found["mainstem_seconds"], 2),
            "cpu_vs_drt": round(found["mainstem_cpu"] / found["drt_cpu"], 2),
        }
        if "drt_cpu" in found
        else {}
    )
    figures = {
        "rows": rows,
        "rows_per_second": round(rows / found["mainstem_seconds"]),
        "peak_memory_mb": round(found["mainstem_peak_mb"]),
        **{key: round(value, 2) for key, value in found.items()},
    }
    print(json.dumps({"benchmark": "activation", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
