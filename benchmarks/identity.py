"""A full identity run against bare Splink on the same records: time, memory and how right each is.

    python -m benchmarks.identity [--records N] [--new N] [--without-bare] [--memory GB] [--large N]

Generates N (a million) contacts of four sources with the sample's kinds of trouble. Ours is
`resolve` on a warehouse file: normalising, firewall, exact evidence, training, Splink, clustering,
stable ids, history, all tables written. Bare is what a competent user would write in Splink 5:
predict and cluster with the blocking rules, comparisons and threshold of identity/rules.yml, on
columns normalised beforehand, in a DuckDB file. Each side runs in a process of its own with the
same threads and memory limit. Then N (ten thousand) more contacts come, and are resolved against the
others by an incremental run, in a process of its own, too. `explain` is timed as the command that it
is, start and imports and all. `--large 5000000` resolves so many, too, which takes many minutes. Ends
with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.identity_sides import LIMIT_SECONDS, SIDES, connected, explained, hold_back
from benchmarks.people import generate

RECORDS = 1_000_000
NEW = 10_000


def in_process(side: str, folder: Path, memory: str) -> dict[str, Any]:
    """Run one side in a process of its own and return what it measured."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.identity"),
            *("--side", side, "--folder", str(folder), "--memory", memory),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
        env=os.environ,
    )
    if done.returncode != 0:
        sys.exit(f"{side} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Generate, measure each side, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--new", type=int, default=NEW, help="contacts of the incremental run")
    parser.add_argument("--scale", type=float, default=1.0, help="times the records")
    parser.add_argument("--memory", default="3GB", help="DuckDB's memory limit, on both sides")
    parser.add_argument("--without-bare", action="store_true")
    parser.add_argument("--large", type=int, default=0, help="so many records as well: 5000000")
    parser.add_argument("--large-memory", default="10GB", help="DuckDB's memory limit for these")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.folder, options.memory)))
        return
    records = int(options.records * options.scale)
    folder = Path(tempfile.mkdtemp(prefix="mainstem-bench-"))
    try:
        began = time.monotonic()
        with connected(folder / "warehouse.duckdb", options.memory) as con:
            generate(con, records + options.new)
            hold_back(con, options.new)
        print(f"generated {records:,} records in {time.monotonic() - began:.1f} s", flush=True)
        found = {}
        sides = ["ours", "published"] + ([] if options.without_bare else ["normalised", "bare"])
        sides.append("added")
        for side in sides:
            found[side] = in_process(side, folder, options.memory)
            print(f"{side}: {json.dumps(found[side])}", flush=True)
            if side == "published":
                ask = found[side]["ask"]
                found[side] |= {"one": explained(folder, ask[:1]), "two": explained(folder, ask)}
                print(f"explained: {json.dumps(found[side])}", flush=True)
        if options.large:
            found["large"] = large(folder, options)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(report(records, found)))


def large(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Resolve many more records, with more memory."""
    (folder / "large").mkdir()
    with connected(folder / "large" / "warehouse.duckdb", options.large_memory) as con:
        generate(con, options.large)
    found = in_process("ours", folder / "large", options.large_memory)
    print(f"{options.large:,} records: {json.dumps(found)}", flush=True)
    return found


def report(records: int, found: dict[str, Any]) -> dict[str, Any]:
    """The benchmark's line: ratios below 1 are better than bare Splink."""
    mine, other = found["ours"], found.get("bare")
    figures = {
        "records": records,
        **{k: mine[k] for k in ("seconds", "cpu_seconds", "peak_memory_mb")},
        **{k: mine[k] for k in ("f1", "precision", "recall", "largest_cluster")},
        **{f"explain_{k}": v for k, v in found["published"]["one"].items()},
        **{f"explain_pair_{k}": v for k, v in found["published"]["two"].items()},
        "five_million_seconds": None,
    }
    if "large" in found:
        figures |= {
            "five_million_seconds": found["large"]["seconds"],
            "five_million_peak_memory_mb": found["large"]["peak_memory_mb"],
        }
    later = found["added"]
    figures |= {
        "incremental_seconds": later["seconds"],
        "incremental_cpu_seconds": later["cpu_seconds"],
        "incremental_peak_memory_mb": later["peak_memory_mb"],
        "incremental_f1": later["f1"],
    }
    ratios = {
        "incremental_vs_full": round(later["seconds"] / mine["seconds"], 3),
        "incremental_vs_full_cpu": round(later["cpu_seconds"] / mine["cpu_seconds"], 3),
    }
    if other:
        ratios |= {
            "full_vs_bare_splink": round(mine["seconds"] / other["seconds"], 2),
            "full_vs_bare_splink_cpu": round(mine["cpu_seconds"] / other["cpu_seconds"], 2),
        }
        figures |= {f"{k}_bare_splink": v for k, v in other.items()}
    return {"benchmark": "identity", "ratios": ratios, "figures": figures}


if __name__ == "__main__":
    main()
