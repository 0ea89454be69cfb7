"""`mainstem resolve`: who is who in a file, with no project and nothing set up."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from identity.columns import Column
from identity.file_resolution import FileReport, resolve_files, write_clusters, write_pairs
from identity.given import FileError, Given
from identity.rules import RulesError, default_path, read
from orchestration.cli import EXIT_FAILED, EXIT_USAGE

CLUSTERS = Path("clusters.csv")


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    help="The rows' own id (default: found, or the row number).",
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="Say what a column is; may be repeated.",
)
@click.option(
    "--ignore", multiple=True, metavar="COLUMN", help="Leave a column out; may be repeated."
)
@click.option(
    "--truth", metavar="COLUMN", help="Who it really is: nothing but the score at the end reads it."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=CLUSTERS,
    show_default=True,
    help="Each row's id and customer_id (.csv, .tsv or .parquet).",
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    help="left_id, right_id, probability, rule of every pair (.parquet, .csv or .tsv).",
)
@click.option(
    "--json",
    "report",
    type=click.Path(path_type=Path),
    help="The report as JSON; - prints nothing but it.",
)
@click.option(
    "--rules",
    "rules_path",
    type=click.Path(path_type=Path),
    help="Rules of your own (default: those that ship).",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(
    files: tuple[Path, ...],
    id_column: str | None,
    mapped: tuple[str, ...],
    ignore: tuple[str, ...],
    truth: str | None,
    out: Path,
    pairs: Path | None,
    report: Path | None,
    rules_path: Path | None,
    quiet: bool,
) -> None:
    """Find out which rows of CSV, TSV or Parquet files are the same person.

    Columns are recognised by their names and by what is in them, a model is trained on the spot, and
    every row gets a customer_id. Several files are resolved together. Nothing is uploaded, and nothing
    but the files named here is written.

    \b
    mainstem resolve customers.csv
    mainstem resolve crm.csv shop.parquet --map last_name=NACHN --out people.csv
    mainstem resolve labelled.csv --truth person_id --json report.json

    Fields for --map: full_name, first_name, middle_name, last_name, suffix, email, phone, birth_date,
    age, sex, street, street_number, unit, address, city, region, postcode, country, source;
    identifier (a number of one person), attribute (compared as it is), ignored.
    """  # fmt: skip
    to_stdout = report is not None and str(report) == "-"
    console = Console(
        highlight=False, quiet=quiet or to_stdout, width=None if sys.stdout.isatty() else 110
    )
    steps = Console(
        highlight=False, stderr=True, quiet=quiet or to_stdout or not sys.stderr.isatty()
    )
    con = duckdb.connect()
    try:
        rules_path = rules_path or default_path()
        asked = _mapping(mapped)
        written = [path for path in (out, pairs, None if to_stdout else report) if path is not None]
        _need_other_files(written, (*files, rules_path))
        rules = read(rules_path)
        with steps.status("reading") as status:
            found = resolve_files(
                con,
                files,
                rules,
                id_column=id_column,
                asked=asked,
                truth=truth,
                ignore=ignore,
                progress=lambda step: status.update(f"{step} ..."),
                on_columns=lambda given, columns, header: _show_columns(
                    console, given, columns, header
                ),
            )
        write_clusters(con, out, found.id_column)
        if pairs is not None:
            write_pairs(con, pairs)
        if report is not None and not to_stdout:
            _write(report, found)
    except (FileError, RulesError) as error:
        print(f"mainstem resolve: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE if isinstance(error, FileError) else EXIT_FAILED)
    finally:
        con.close()
    if to_stdout:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    _show(console, found, out, pairs, files)


def _mapping(mapped: tuple[str, ...]) -> dict[str, str]:
    """FIELD=COLUMN, several times; raises FileError for what is not of that form."""
    pairs = [text.partition("=") for text in mapped]
    for field, sign, header in pairs:
        if not sign or not header:
            raise FileError(
                f"--map {field} must be FIELD=COLUMN, such as --map last_name={field or 'SURNAME'}"
            )
    fields: dict[str, str] = {}
    for field, _, header in pairs:
        name, meant = header.strip(), field.strip()
        if fields.setdefault(name, meant) != meant:
            raise FileError(
                f"--map says that column `{name}` is {fields[name]} and {meant}; say one of them"
            )
    return fields


def _need_other_files(written: Sequence[Path], given: Sequence[Path]) -> None:
    """Raise FileError for a target that is a folder, that is read, or that is written twice."""
    seen = {path.resolve() for path in given}
    for target in written:
        if not target.name or target.is_dir():
            raise FileError(f"{target} is a folder; name a file in it")
        if target.resolve() in seen or any(_is_same(target, path) for path in given):
            raise FileError(
                f"{target} is read, or written twice, by this command; name another file"
            )
        seen.add(target.resolve())


def _is_same(one: Path, other: Path) -> bool:
    """Whether both names are of one file: a hard link, or the name in other letters on a Mac."""
    return one.exists() and other.exists() and one.samefile(other)


def _write(path: Path, found: FileReport) -> None:
    text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be written; does its folder exist?") from error


def _show_columns(
    console: Console, given: Given, columns: tuple[Column, ...], id_header: str | None
) -> None:
    names = ", ".join(f.path.name for f in given.files[:3])
    more = f" and {len(given.files) - 3} more" if len(given.files) > 3 else ""
    console.print(f"\n[bold]{names}{more}[/]  {given.rows:,} rows, {len(given.columns)} columns")
    for file in given.files:
        for note in file.notes:
            console.print(Text(f"  {file.path.name}: {note}", style="yellow"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("  column", "taken as", "filled", "why"):
        table.add_column(title, no_wrap=title != "why")
    for column in columns:
        if column.field != "ignored":
            why = "" if column.why == "by its name" else column.why
            table.add_row(
                Text(f"  {column.header}"),
                Text(column.field.replace("_", " ")),
                f"{column.filled:.0%}",
                Text(why, style="dim"),
            )
    console.print(table)
    left_out: dict[str, list[str]] = {}
    for column in columns:
        if column.field == "ignored":
            left_out.setdefault(column.why, []).append(column.header)
    for why, headers in left_out.items():
        console.print(Text(f"  not used: {', '.join(headers)} ({why})", style="dim"))
    if id_header is None:
        console.print(
            Text("  no column is a unique id: rows are known by their number", style="dim")
        )


def _show(
    console: Console, found: FileReport, out: Path, pairs: Path | None, files: tuple[Path, ...]
) -> None:
    repeated = found.records - found.customers
    most = f"; {found.largest_cluster:,} rows are of one person at most" if repeated else ""
    console.print(
        f"\n[bold]{_counted(found.records, 'row is', 'rows are')}"
        f" [green]{_counted(found.customers, 'person', 'people')}[/green][/]"
        f"  ({_counted(repeated, 'row repeats', 'rows repeat')} somebody{most})"
    )
    if found.blocked:
        console.print(
            f"  {_counted(found.blocked, 'value links', 'values link')} nobody:"
            " too many people share it, or it stands for nothing"
        )
    console.print(f"  {found.seconds:.1f} s, {found.peak_memory_mb:,.0f} MB at most")
    if found.score is not None:
        score = found.score
        console.print(
            f"\n[bold]Against the truth[/]  precision [bold]{score.precision:.3f}[/],"
            f" recall [bold]{score.recall:.3f}[/], F1 [bold]{score.f1:.3f}[/] (pairs);"
            f" B-cubed F1 {score.bcubed_f1:.3f}; {score.labelled:,} labelled rows,"
            f" {score.pairs_true:,} true pairs"
        )
    console.print(f"\n[bold]Written[/]  {out}" + (f", {pairs}" if pairs else ""))
    unclear = Counter(c.field for c in found.columns)
    console.print("[bold]Next[/]")
    if not unclear["last_name"] and not unclear["full_name"]:
        console.print("  --map last_name=COLUMN   # no column looks like a name", style="cyan")
    if pairs is None:
        console.print(
            f"  mainstem resolve {' '.join(map(str, files[:2]))} --pairs pairs.parquet"
            "   # what linked whom, and how surely",
            style="cyan",
            soft_wrap=True,
        )
    console.print(
        "  mainstem init <folder>   # a project that keeps ids, explains links and syncs audiences",
        style="cyan",
        soft_wrap=True,
    )


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
