"""What was in force in a run: its rules and decisions, kept so that the run can be gone back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import yaml

from identity import overrides as decisions
from identity import rules as rules_file
from identity.overrides import Override
from identity.rules import Rules
from identity.sections import RulesError

ROLLBACK = "rollback to "


@dataclass(frozen=True)
class Config:
    """Rules and decisions together; `config_hash` changes when either does."""

    rules: Rules
    overrides: tuple[Override, ...] = ()

    @property
    def config_hash(self) -> str:
        return decisions.config_hash(self.rules, self.overrides)


def read(rules_path: Path, overrides_path: Path) -> Config:
    """Read both files; without an overrides file nothing is decided. Raises RulesError."""
    rules = rules_file.read(rules_path)
    return Config(rules, decisions.read(overrides_path, rules))


def record(
    work: duckdb.DuckDBPyConnection,
    previous: str,
    rules: Rules,
    overrides: Sequence[Override],
    run: tuple[str, datetime],
) -> None:
    """Create new_configs: a row for this configuration, unless `previous` (a quoted database name)
    has it. `run` is the model's version and the moment.
    """
    config_hash = decisions.config_hash(rules, overrides)
    work.execute(
        f"""
        create or replace table new_configs as
        select $1 as config_hash, $2 as model_version, $3 as rules, $4 as overrides,
            $5::timestamp as created_at
        where not exists (
            select 1 from {previous}.identity.configs where config_hash = $1 and rules <> '')
        """,
        [config_hash, run[0], rules.text, to_text(overrides), run[1]],
    )


def to_text(overrides: Sequence[Override]) -> str:
    """Return decisions as an overrides file."""
    entries = [override.to_entry() for override in overrides]
    return yaml.safe_dump({"overrides": entries}, sort_keys=False, allow_unicode=True)


def load(
    con: duckdb.DuckDBPyConnection, config_hash: str, otherwise: Rules | None = None
) -> Config | None:
    """Return a configuration that a run had, or None if it was not kept.

    Rules that this version of the program reads no more count as not kept; with `otherwise`, those
    take their place, and the decisions of the run stay.
    """
    rows = con.execute(
        "select rules, overrides from identity.configs where config_hash = ? and rules <> ''",
        [config_hash],
    ).fetchall()
    if not rows:
        return None
    place = Path(f"identity.configs {config_hash}")
    try:
        rules = rules_file.parse(rows[0][0], place)
    except RulesError:
        if otherwise is None:
            return None
        rules = otherwise
    return Config(rules, decisions.parse(rows[0][1], place, rules))


def rules_in_force(con: duckdb.DuckDBPyConnection, otherwise: Path) -> Rules:
    """Return the rules of the last run, which are not the file's after a rollback or a refusal; those
    of the file `otherwise` where they were not kept, or are read no more. Raises RulesError.
    """
    rows = con.execute(
        """
        select c.rules, c.config_hash
        from identity.configs as c
        join identity.runs as r using (config_hash)
        where c.rules <> ''
            and r.run_number = (select max(run_number) from identity.runs)
        limit 1
        """
    ).fetchall()
    if not rows:
        return rules_file.read(otherwise)
    try:
        return rules_file.parse(str(rows[0][0]), Path(f"identity.configs {rows[0][1]}"))
    except RulesError:
        return rules_file.read(otherwise)


def rolled_back_to(con: duckdb.DuckDBPyConnection) -> tuple[str, str] | None:
    """Return (run, config_hash) while a rollback is in force: until the next `apply`."""
    rows = con.execute(
        """
        select purpose, config_hash
        from identity.runs
        where purpose <> 'run'
        order by run_number desc
        limit 1
        """
    ).fetchall()
    if not rows or not str(rows[0][0]).startswith(ROLLBACK):
        return None
    return str(rows[0][0]).removeprefix(ROLLBACK), str(rows[0][1])


def last(con: duckdb.DuckDBPyConnection) -> tuple[str, str] | None:
    """Return (config_hash, model_version) of the last run, or None before the first."""
    rows = con.execute(
        "select config_hash, model_version from identity.runs order by run_number desc limit 1"
    ).fetchall()
    return (str(rows[0][0]), str(rows[0][1])) if rows else None


def refused(con: duckdb.DuckDBPyConnection, config_hash: str, model_version: str) -> float | None:
    """Return the share of records that this configuration would change, if the guard refused it."""
    rows = con.execute(
        """
        select refused_share
        from identity.configs
        where config_hash = ? and model_version = ? and refused_share is not null
        """,
        [config_hash, model_version],
    ).fetchall()
    return float(rows[0][0]) if rows else None


def refuse(
    con: duckdb.DuckDBPyConnection, config_hash: str, model_version: str, changed: int, share: float
) -> None:
    """Remember that the guard refused a configuration, so that it is not tried again each run."""
    accept(con, config_hash, model_version)
    con.execute(
        "insert into identity.configs by name select ? as config_hash, ? as model_version,"
        " '' as rules, '' as overrides, current_timestamp::timestamp as created_at,"
        " ?::bigint as refused_changed, ?::double as refused_share",
        [config_hash, model_version, changed, share],
    )


def accept(con: duckdb.DuckDBPyConnection, config_hash: str, model_version: str) -> None:
    """Forget a refusal."""
    con.execute(
        "delete from identity.configs where config_hash = ? and model_version = ?"
        " and refused_share is not null",
        [config_hash, model_version],
    )
