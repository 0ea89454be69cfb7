"""What is declared about a sync against what its destination type and its models can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reverse_etl import destinations, rhythms
from reverse_etl.connection import holds_literal
from reverse_etl.destination import MODES, Capabilities
from reverse_etl.naming import nearest

GOLDEN = "golden_customers"
MOST_ATTEMPTS = 1_000
GUARD_KEYS = ("max_removed_percent", "allow_empty")
CHECK_KEYS = ("rejected_percent",)
REJECTED_PERCENT = 1.0


class Complain(Protocol):
    """Takes note of a problem: the key below `config.meta`, and what to do."""

    def __call__(self, key: str, message: str) -> None: ...


@dataclass(frozen=True)
class Guards:
    """What stops a sync until a person has looked: more removals than so many percent of the rows
    held, and a source without a row. Both only above a few rows held."""

    max_removed_percent: float = 20.0
    allow_empty: bool = False


def texts(declared: Mapping[str, Any], key: str, problem: Complain) -> dict[str, str]:
    """A mapping of names to scalars, as text."""
    given = declared.get(key) or {}
    if not isinstance(given, dict) or any(isinstance(v, dict | list) for v in given.values()):
        problem(f"sync.{key}", "is not a mapping of names to single values")
        return {}
    return {str(name): "" if value is None else str(value) for name, value in given.items()}


def capabilities_of(destination: str, problem: Complain) -> Capabilities | None:
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


def check_against(
    capabilities: Capabilities,
    *,
    destination: str,
    mode: str,
    batch_rows: Any,
    parallel: Any,
    fields: Mapping[str, str],
    connection: Mapping[str, str],
    problem: Complain,
) -> None:
    """What is declared against what the destination type can do."""
    _check_mode(capabilities, destination, mode, problem)
    counts = (
        ("batch_rows", batch_rows, capabilities.max_rows),
        ("parallel", parallel, capabilities.parallel),
    )
    for key, value, most in counts:
        if value is not None and not _is_count(value, most):
            problem(f"sync.{key}", f"is not a whole number from 1 to {most}")
    _check_fields(capabilities, destination, fields, problem)
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


def _check_mode(capabilities: Capabilities, destination: str, mode: str, problem: Complain) -> None:
    if mode not in MODES:
        problem("sync.mode", f"unknown mode {mode}; {nearest(mode, capabilities.modes)}")
    elif mode == "mirror" and not capabilities.removal:
        problem(
            "sync.mode",
            f"{destination} removes nobody, so it cannot mirror: choose "
            f"{' or '.join(sorted(capabilities.modes - {'mirror'}))}",
        )
    elif mode not in capabilities.modes:
        problem(
            "sync.mode",
            f"{destination} does not take {mode}; it takes {', '.join(sorted(capabilities.modes))}",
        )


def _check_fields(
    capabilities: Capabilities, destination: str, fields: Mapping[str, str], problem: Complain
) -> None:
    if capabilities.known_fields is not None:
        for target in sorted(fields.keys() - capabilities.known_fields):
            hint = nearest(target, capabilities.known_fields)
            problem(f"sync.fields.{target}", f"{destination} has no such field; {hint}")
    if capabilities.one_of_fields and not capabilities.one_of_fields & fields.keys():
        one_of = ", ".join(sorted(capabilities.one_of_fields))
        problem("sync.fields", f"{destination} needs one of the fields {one_of}")
    for target in sorted(capabilities.required_fields - fields.keys()):
        problem("sync.fields", f"{destination} needs the field {target}")
    for target in sorted(capabilities.reserved_fields & fields.keys()):
        problem(f"sync.fields.{target}", f"{destination} uses this name itself; choose another")


def known_columns(audience: Mapping[str, Any], manifest: Mapping[str, Any]) -> frozenset[str]:
    """The columns a field may name; empty where the manifest does not list them for both models."""
    golden: Mapping[str, Any] = next(
        (node for node in manifest.get("nodes", {}).values() if node.get("name") == GOLDEN), {}
    )
    listed = [frozenset(node.get("columns") or ()) for node in (audience, golden)]
    return listed[0] | listed[1] if all(listed) else frozenset()


def guards(declared: Mapping[str, Any], problem: Complain) -> Guards:
    """The guards of a sync, each with its default."""
    given = declared.get("guards") or {}
    if not isinstance(given, dict):
        problem("sync.guards", f"is not a mapping; it has the keys {', '.join(GUARD_KEYS)}")
        return Guards()
    for key in given.keys() - set(GUARD_KEYS):
        problem(f"sync.guards.{key}", f"unknown key; {nearest(str(key), GUARD_KEYS)}")
    percent = given.get("max_removed_percent", Guards.max_removed_percent)
    allow_empty = given.get("allow_empty", Guards.allow_empty)
    is_number = isinstance(percent, int | float) and not isinstance(percent, bool)
    if not is_number or not 0 <= percent <= 100:
        problem("sync.guards.max_removed_percent", "is not a number from 0 to 100")
        percent = 0
    if not isinstance(allow_empty, bool):
        problem("sync.guards.allow_empty", "is neither true nor false")
    return Guards(float(percent), bool(allow_empty))


def attempts(declared: Mapping[str, Any], default: int, problem: Complain) -> int:
    """How often a refused row is tried."""
    given = declared.get("max_attempts", default)
    if not _is_count(given, MOST_ATTEMPTS):
        problem("sync.max_attempts", f"is not a whole number from 1 to {MOST_ATTEMPTS}")
        return default
    return int(given)


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def schedule(declared: Mapping[str, Any], problem: Complain) -> str:
    """`schedule`: a word or a cron string."""
    given = str(declared.get("schedule") or rhythms.DEFAULT)
    if not rhythms.is_schedule(given):
        problem(
            "sync.schedule",
            f"{given} is neither {', '.join(rhythms.EVERY)} nor a cron string of five fields",
        )
    return given


def rejected_percent(declared: Any, problem: Complain) -> float:
    """`checks.rejected_percent`: the share of refused rows above which a check warns."""
    if declared is None:
        return REJECTED_PERCENT
    if not isinstance(declared, dict):
        problem("sync.checks", f"is not a mapping; it has the keys {', '.join(CHECK_KEYS)}")
        return REJECTED_PERCENT
    for key in declared.keys() - set(CHECK_KEYS):
        problem(f"sync.checks.{key}", f"unknown key; {nearest(str(key), CHECK_KEYS)}")
    percent = declared.get("rejected_percent", REJECTED_PERCENT)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        problem("sync.checks.rejected_percent", "is not a number from 0 to 100")
        return REJECTED_PERCENT
    return float(percent)
