"""Syncs as they are declared: the exposures of a dbt manifest that have a `config.meta.sync`."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reverse_etl import destinations, rhythms
from reverse_etl.connection import holds_literal
from reverse_etl.destination import Capabilities

SYNC_KEYS = (
    "destination",
    "channel",
    "row_key",
    "fields",
    "required",
    "mode",
    "batch_rows",
    "connection",
    "schedule",
    "checks",
)
CHECK_KEYS = ("rejected_percent",)
DEFAULT_MODE = "mirror"
DEFAULT_ROW_KEY = "customer_id"
# so often a refused row is tried before it is parked
DEFAULT_ATTEMPTS = 5
AUDIENCES = "audiences"
GOLDEN = "golden_customers"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a declaration: the YAML file, the key in it, and what to do."""

    sync: str
    path: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: exposure {self.sync}, {self.key}: {self.message}"


@dataclass(frozen=True)
class Guards:
    """What stops a sync until a person has looked: more removals than so many percent of the rows
    held, and a source without a row. Both only above a few rows held."""

    max_removed_percent: float = 20.0
    allow_empty: bool = False


@dataclass(frozen=True)
class Sync:
    """One audience kept up to date at one destination.

    `fields` are (target field, column) pairs in declared order; a column is looked up in the
    audience first, then in golden_customers. `connection` holds `${NAME}` references, never
    resolved values. `parallel` is how many batches may be under way at once, 0 for as many as
    the destination type takes; a refused row is parked after `max_attempts`. `schedule` is one of
    rhythms.EVERY or a cron string; a check warns above `rejected_percent` (0..100) of refused rows.
    """

    name: str
    path: str
    destination: str
    channel: str
    audience_id: str
    audience_schema: str
    audience_table: str
    consent_purpose: str
    row_key: str
    fields: tuple[tuple[str, str], ...]
    required: tuple[str, ...]
    mode: str
    batch_rows: int
    connection: Mapping[str, str] = field(repr=False)
    parallel: int = 0
    max_attempts: int = DEFAULT_ATTEMPTS
    guards: Guards = Guards()
    schedule: str = rhythms.DEFAULT
    rejected_percent: float = 1.0


@dataclass(frozen=True)
class Syncs:
    syncs: tuple[Sync, ...]
    problems: tuple[Problem, ...]


def read(manifest: Mapping[str, Any]) -> Syncs:
    """The syncs of a dbt manifest, by name. One with a problem is left out, the others stay."""
    syncs: list[Sync] = []
    problems: list[Problem] = []
    exposures = manifest.get("exposures", {}).values()
    for exposure in sorted(exposures, key=lambda exposure: str(exposure["name"])):
        if not is_sync(exposure):
            continue
        sync, found = _read_one(exposure, manifest)
        problems += found
        if sync is not None:
            syncs.append(sync)
    return Syncs(tuple(syncs), tuple(problems))


def is_sync(exposure: Mapping[str, Any]) -> bool:
    """Whether an exposure of a manifest declares a sync, rightly or not."""
    return "sync" in _meta(exposure)


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the right name: the nearest one, else all there are."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(words)}" if words else "there are none"


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node's meta; dbt writes it under config since 1.10 and beside it before."""
    return node.get("config", {}).get("meta") or node.get("meta") or {}


def _read_one(
    exposure: Mapping[str, Any], manifest: Mapping[str, Any]
) -> tuple[Sync | None, list[Problem]]:
    name, path = str(exposure["name"]), str(exposure.get("original_file_path", "?"))
    found: list[Problem] = []

    def problem(key: str, message: str) -> None:
        found.append(Problem(name, path, f"config.meta.{key}", message))

    declared = _meta(exposure)["sync"]
    if not isinstance(declared, dict):
        problem("sync", f"is not a mapping; it has the keys {', '.join(SYNC_KEYS)}")
        return None, found
    for key in declared.keys() - set(SYNC_KEYS):
        problem(f"sync.{key}", f"unknown key; {nearest(str(key), SYNC_KEYS)}")
    for key in ("destination", "channel", "fields", "connection"):
        if not declared.get(key):
            problem(f"sync.{key}", "is missing")
    audience = _audience(exposure, manifest, problem)
    purpose = _meta(audience).get("consent_purpose") if audience else None
    if audience and not purpose:
        path_of_audience = audience.get("patch_path") or audience.get("original_file_path", "?")
        problem(
            "consent_purpose",
            f"{audience['name']} has none, so nobody may be sent: set config.meta.consent_purpose "
            f"of that model ({str(path_of_audience).rpartition('://')[2]})",
        )
    fields = _texts(declared, "fields", problem)
    connection = _texts(declared, "connection", problem)
    required = tuple(map(str, declared.get("required") or ()))
    for target in required:
        if target not in fields:
            problem("sync.required", f"{target} is not a target field; {nearest(target, fields)}")
    row_key = str(declared.get("row_key") or DEFAULT_ROW_KEY)
    mode = str(declared.get("mode") or DEFAULT_MODE)
    destination = str(declared.get("destination") or "")
    capabilities = _capabilities(destination, problem)
    batch_rows = declared.get("batch_rows")
    if capabilities:
        _check_against(
            capabilities,
            destination=destination,
            mode=mode,
            batch_rows=batch_rows,
            fields=fields,
            connection=connection,
            problem=problem,
        )
        batch_rows = batch_rows or capabilities.default_rows
        required = tuple(dict.fromkeys((*required, *sorted(capabilities.required_fields))))
    schedule = _schedule(declared, problem)
    rejected_percent = _rejected_percent(declared.get("checks"), problem)
    if audience:
        columns = _known_columns(audience, manifest)
        for target, column in {"": row_key, **fields}.items():
            if columns and column not in columns:
                key = f"sync.fields.{target}" if target else "sync.row_key"
                problem(
                    key,
                    f"no column {column} in the audience or {GOLDEN}; {nearest(column, columns)}",
                )
    if found or audience is None:
        return None, found
    sync = Sync(
        name=name,
        path=path,
        destination=destination,
        channel=str(declared["channel"]),
        audience_id=str(audience["name"]),
        audience_schema=str(audience.get("schema") or AUDIENCES),
        audience_table=str(audience.get("alias") or audience["name"]),
        consent_purpose=str(purpose),
        row_key=row_key,
        fields=tuple(fields.items()),
        required=required,
        mode=mode,
        batch_rows=int(batch_rows or 1),
        connection=connection,
        schedule=schedule,
        rejected_percent=rejected_percent,
    )
    return sync, found


def _schedule(declared: Mapping[str, Any], problem: Any) -> str:
    schedule = str(declared.get("schedule") or rhythms.DEFAULT)
    if not rhythms.is_schedule(schedule):
        problem(
            "sync.schedule",
            f"{schedule} is neither {', '.join(rhythms.EVERY)} nor a cron string of five fields",
        )
    return schedule


def _rejected_percent(checks: Any, problem: Any) -> float:
    """`checks.rejected_percent`, 1 where nothing is said."""
    if checks is None:
        return Sync.rejected_percent
    if not isinstance(checks, dict):
        problem("sync.checks", f"is not a mapping; it has the keys {', '.join(CHECK_KEYS)}")
        return Sync.rejected_percent
    for key in checks.keys() - set(CHECK_KEYS):
        problem(f"sync.checks.{key}", f"unknown key; {nearest(str(key), CHECK_KEYS)}")
    percent = checks.get("rejected_percent", Sync.rejected_percent)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        problem("sync.checks.rejected_percent", "is not a number from 0 to 100")
        return Sync.rejected_percent
    return float(percent)


def _audience(
    exposure: Mapping[str, Any], manifest: Mapping[str, Any], problem: Any
) -> Mapping[str, Any] | None:
    """The one model of the audiences folder or schema that the exposure depends on."""
    nodes = manifest.get("nodes", {})
    all_audiences = {key: node for key, node in nodes.items() if _is_audience(node)}
    mine = [key for key in exposure.get("depends_on", {}).get("nodes", ()) if key in all_audiences]
    if len(mine) == 1:
        found: Mapping[str, Any] = all_audiences[mine[0]]
        return found
    names = sorted(str(node["name"]) for node in all_audiences.values())
    there = f"there are {', '.join(names)}" if names else "there are none yet"
    if mine:
        named = ", ".join(sorted(str(all_audiences[key]["name"]) for key in mine))
        problem("sync", f"depends_on names {len(mine)} audiences ({named}); a sync has one")
    else:
        problem("sync", f"depends_on names no audience: add ref('<audience>'); {there}")
    return None


def _is_audience(node: Mapping[str, Any]) -> bool:
    is_model = node.get("resource_type", "model") == "model"
    in_folder = AUDIENCES in node.get("fqn", ())[:-1]
    # other models may live in that schema (membership); an audience is named aud_<name>
    named = str(node.get("name", "")).startswith("aud_")
    return is_model and named and (in_folder or node.get("schema") == AUDIENCES)


def _texts(declared: Mapping[str, Any], key: str, problem: Any) -> dict[str, str]:
    """A mapping of names to scalars, as text."""
    given = declared.get(key) or {}
    if not isinstance(given, dict) or any(isinstance(v, dict | list) for v in given.values()):
        problem(f"sync.{key}", "is not a mapping of names to single values")
        return {}
    return {str(name): "" if value is None else str(value) for name, value in given.items()}


def _capabilities(destination: str, problem: Any) -> Capabilities | None:
    if not destination:
        return None
    try:
        return destinations.find(destination).capabilities
    except KeyError:
        problem(
            "sync.destination",
            f"unknown destination {destination}; {nearest(destination, destinations.names())}",
        )
        return None


def _check_against(
    capabilities: Capabilities,
    *,
    destination: str,
    mode: str,
    batch_rows: Any,
    fields: Mapping[str, str],
    connection: Mapping[str, str],
    problem: Any,
) -> None:
    """What is declared against what the destination type can do."""
    if mode not in capabilities.modes:
        problem("sync.mode", f"unknown mode {mode}; {nearest(mode, capabilities.modes)}")
    is_count = isinstance(batch_rows, int) and not isinstance(batch_rows, bool)
    if batch_rows is not None and not (is_count and 1 <= batch_rows <= capabilities.max_rows):
        problem("sync.batch_rows", f"is not a whole number from 1 to {capabilities.max_rows}")
    for target in sorted(capabilities.required_fields - fields.keys()):
        problem("sync.fields", f"{destination} needs the field {target}")
    for target in sorted(capabilities.reserved_fields & fields.keys()):
        problem(f"sync.fields.{target}", f"{destination} uses this name itself; choose another")
    known = capabilities.connection_keys | capabilities.optional_connection_keys
    for key in sorted(connection.keys() - known):
        problem(f"sync.connection.{key}", f"unknown key; {nearest(key, known)}")
    for key in sorted(capabilities.connection_keys - connection.keys()):
        problem(f"sync.connection.{key}", "is missing")
    for key in sorted(capabilities.secret_keys & connection.keys()):
        if holds_literal(connection[key]):
            problem(
                f"sync.connection.{key}",
                "is written out: put it into an environment variable and write ${NAME} here",
            )


def _known_columns(audience: Mapping[str, Any], manifest: Mapping[str, Any]) -> frozenset[str]:
    """The columns a field may name; empty where the manifest does not list them for both models."""
    golden: Mapping[str, Any] = next(
        (node for node in manifest.get("nodes", {}).values() if node.get("name") == GOLDEN), {}
    )
    listed = [frozenset(node.get("columns") or ()) for node in (audience, golden)]
    return listed[0] | listed[1] if all(listed) else frozenset()
