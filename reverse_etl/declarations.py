"""Syncs as they are declared: the exposures of a dbt manifest that have a `config.meta.sync`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reverse_etl import checks, rhythms
from reverse_etl.checks import GOLDEN, Guards
from reverse_etl.naming import nearest

__all__ = ["GOLDEN", "Guards", "Problem", "Sync", "Syncs", "is_sync", "nearest", "read"]

SYNC_KEYS = (
    "destination",
    "channel",
    "row_key",
    "fields",
    "required",
    "mode",
    "batch_rows",
    "parallel",
    "connection",
    "guards",
    "max_attempts",
    "purpose",
    "schedule",
    "checks",
)
DEFAULT_MODE = "mirror"
DEFAULT_ROW_KEY = "customer_id"
# so often a refused row is tried before it is parked
DEFAULT_ATTEMPTS = 5
AUDIENCES = "audiences"
# schemas of the published file that a sync with a purpose of its own may send from
SENT_SCHEMAS = ("marts", "canonical")


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
class Sync:
    """One audience, or mart with a consent purpose of its own, kept up to date at one destination.

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
    guards: Guards = field(default_factory=Guards)
    schedule: str = rhythms.DEFAULT
    rejected_percent: float = checks.REJECTED_PERCENT


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
    audience = _source(exposure, manifest, declared.get("purpose"), problem)
    purpose = declared.get("purpose") or (
        _meta(audience).get("consent_purpose") if audience else None
    )
    if audience and not purpose:
        path_of_audience = audience.get("patch_path") or audience.get("original_file_path", "?")
        problem(
            "consent_purpose",
            f"{audience['name']} has none, so nobody may be sent: set config.meta.consent_purpose "
            f"of that model ({str(path_of_audience).rpartition('://')[2]})",
        )
    fields = checks.texts(declared, "fields", problem)
    connection = checks.texts(declared, "connection", problem)
    required = tuple(map(str, declared.get("required") or ()))
    for target in required:
        if target not in fields:
            problem("sync.required", f"{target} is not a target field; {nearest(target, fields)}")
    row_key = str(declared.get("row_key") or DEFAULT_ROW_KEY)
    mode = str(declared.get("mode") or DEFAULT_MODE)
    destination = str(declared.get("destination") or "")
    capabilities = checks.capabilities_of(destination, problem)
    batch_rows, parallel = declared.get("batch_rows"), declared.get("parallel")
    if capabilities:
        checks.check_against(
            capabilities,
            destination=destination,
            mode=mode,
            batch_rows=batch_rows,
            parallel=parallel,
            fields=fields,
            connection=connection,
            problem=problem,
        )
        batch_rows = batch_rows or capabilities.default_rows
        required = tuple(dict.fromkeys((*required, *sorted(capabilities.required_fields))))
    schedule = checks.schedule(declared, problem)
    rejected_percent = checks.rejected_percent(declared.get("checks"), problem)
    guards = checks.guards(declared, problem)
    max_attempts = checks.attempts(declared, DEFAULT_ATTEMPTS, problem)
    if audience:
        columns = checks.known_columns(audience, manifest)
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
        parallel=int(parallel or 0),
        max_attempts=max_attempts,
        guards=guards,
        schedule=schedule,
        rejected_percent=rejected_percent,
    )
    return sync, found


def _source(
    exposure: Mapping[str, Any], manifest: Mapping[str, Any], purpose: Any, problem: checks.Complain
) -> Mapping[str, Any] | None:
    """What is sent: the one audience that the exposure depends on, or, where the sync has a consent
    purpose of its own, the one mart."""
    nodes = manifest.get("nodes", {})
    depends_on = [
        nodes[key] for key in exposure.get("depends_on", {}).get("nodes", ()) if key in nodes
    ]
    mine = [node for node in depends_on if _is_audience(node)]
    what = "audience"
    if not mine and purpose:
        what = "mart"
        mine = [
            node
            for node in depends_on
            if node.get("schema") in SENT_SCHEMAS and node["name"] != GOLDEN
        ]
    if len(mine) == 1:
        found: Mapping[str, Any] = mine[0]
        return found
    if mine:
        named = ", ".join(sorted(str(node["name"]) for node in mine))
        problem("sync", f"depends_on names {len(mine)} {what}s ({named}); a sync has one")
        return None
    names = sorted(str(node["name"]) for node in nodes.values() if _is_audience(node))
    there = f"there are {', '.join(names)}" if names else "there are none yet"
    problem(
        "sync",
        f"depends_on names no audience: add ref('<audience>'); {there}. Or name a mart, and its "
        "consent purpose in config.meta.sync.purpose",
    )
    return None


def _is_audience(node: Mapping[str, Any]) -> bool:
    is_model = node.get("resource_type", "model") == "model"
    in_folder = AUDIENCES in node.get("fqn", ())[:-1]
    # other models may live in that schema (membership); an audience is named aud_<name>
    named = str(node.get("name", "")).startswith("aud_")
    return is_model and named and (in_folder or node.get("schema") == AUDIENCES)
