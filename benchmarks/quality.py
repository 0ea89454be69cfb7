"""How right `mainstem resolve` is, with default rules, on labelled sets of people.

    python -m benchmarks.quality FOLDER [--only NAME ...]

Looks in FOLDER for the sets it knows (febrl, cdp_synth_50k, senzing_truthset, pseudopeople_anytown,
splink_fake_1000), resolves each in a process of its own and prints a table. Nothing but the score
reads the labels. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 1_800


@dataclass(frozen=True)
class LabelledSet:
    """Files (relative, with wildcards) that are resolved together; `keep` is SQL that a row must
    meet, `without` columns that are left out.
    """

    name: str
    files: str
    keep: str | None = None
    without: tuple[str, ...] = ()


SETS = (
    LabelledSet("febrl1", "febrl/febrl1.csv"),
    LabelledSet("febrl2", "febrl/febrl2.csv"),
    LabelledSet("febrl3", "febrl/febrl3.csv"),
    LabelledSet("febrl3_without_ssn", "febrl/febrl3.csv", without=("soc_sec_id",)),
    LabelledSet("splink_fake_1000", "splink_fake_1000/fake_1000.csv"),
    LabelledSet("senzing_people", "senzing_truthset/truthset.csv", keep="RECORD_TYPE = 'PERSON'"),
    LabelledSet("cdp_synth_50k", "cdp_synth_50k/records.parquet"),
    LabelledSet("pseudopeople", "pseudopeople_anytown/*.parquet"),
)


def found(folder: Path, only: list[str]) -> Iterator[tuple[LabelledSet, list[Path]]]:
    """Yield the known sets of `folder` with their files."""
    for labelled in SETS:
        files = sorted(folder.glob(labelled.files))
        if files and (not only or labelled.name in only):
            yield labelled, files


def score(labelled: LabelledSet, files: list[Path], work: Path) -> dict[str, Any]:
    """Resolve the files as a user would, and return the command's report."""
    if labelled.keep:
        import duckdb

        part = work / f"{labelled.name}.csv"
        rows = duckdb.connect().read_csv(str(files[0]), all_varchar=True).filter(labelled.keep)
        rows.write_csv(str(part), header=True)
        files = [part]
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", "resolve"]
    command += [*map(str, files), "--truth", "truth", "--json", "-"]
    command += ["--out", str(work / "clusters.csv")]
    for column in labelled.without:
        command += ["--ignore", column]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{labelled.name}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Print the table, then the JSON line."""
    parser = argparse.ArgumentParser(description="Quality of `mainstem resolve` on labelled sets.")
    parser.add_argument("folder", type=Path, help="the folder that the sets are in")
    parser.add_argument("--only", nargs="*", default=[], help="names of sets")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    print(
        f"{'set':<20}{'records':>9}{'precision':>11}{'recall':>8}{'F1':>8}{'B-cubed':>9}"
        f"{'largest':>9}{'seconds':>9}{'MB':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for labelled, files in found(options.folder, options.only):
            r = score(labelled, files, Path(folder))
            print(
                f"{labelled.name:<20}{r['records']:>9,}{r['precision']:>11.4f}{r['recall']:>8.4f}"
                f"{r['f1']:>8.4f}{r['bcubed_f1']:>9.4f}{r['largest_cluster']:>9}"
                f"{r['seconds']:>9.1f}{r['peak_memory_mb']:>7.0f}",
                flush=True,
            )
            keys = ("precision", "recall", "f1", "bcubed_f1", "largest_cluster", "seconds")
            figures[labelled.name] = {key: r[key] for key in (*keys, "peak_memory_mb")}
    if not figures:
        sys.exit(f"{options.folder} has none of the known sets: {', '.join(s.files for s in SETS)}")
    print(json.dumps({"benchmark": "quality", "ratios": {}, "figures": figures}))


if __name__ == "__main__":
    main()
