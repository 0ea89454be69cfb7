"""An audience for those who write no SQL: conditions in YAML, read and checked.

    description: Gold members in Germany who ordered twice this quarter.
    owner: loyalty team
    consent_purpose: marketing
    all:
      - {attribute: country_code, operator: is, value: DE}
      - {count: orders, within_days: 90, operator: at_least, value: 2}
      - any:
          - {attribute: loyalty_tier, operator: in, value: [gold, platinum]}
          - {attribute: revenue, operator: more_than, value: 500}

`all`, `any` and `none` hold conditions and one another. An attribute is a column of customer_360 or
golden_customers; `count` counts orders, events or emails of the customer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

GROUPS = ("all", "any", "none")
SETTINGS = ("description", "owner", "consent_purpose", "experiment", "max_size", "select")
REQUIRED = ("description", "owner", "consent_purpose")
COMPARISONS = {"more_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}
SYMBOLS = {
    "=": "is", "==": "is", "!=": "is_not", "<>": "is_not",
    ">": "more_than", ">=": "at_least", "<": "less_than", "<=": "at_most",
}  # fmt: skip
TEXTS = ("contains", "starts_with")
PRESENCE = ("is_known", "is_unknown")
RECENCY = ("within_last_days", "more_than_days_ago")
OPERATORS = ("is", "is_not", "in", "not_in", *COMPARISONS, *TEXTS, *PRESENCE, *RECENCY)
COUNTED_OPERATORS = ("is", *COMPARISONS)
PROFILES = {"customer_360": "customer", "golden_customers": "golden"}
"""Model -> its alias in the SELECT; an attribute is looked up in this order."""


@dataclass(frozen=True)
class Countable:
    """What `count` counts: a model with a row each, when it happened, and which rows count."""

    model: str
    happened_at: str
    only: str = ""


COUNTABLE = {
    "orders": Countable("int_order_customers", "ordered_at", "status <> 'cancelled'"),
    "events": Countable("int_event_customers", "event_at"),
    "emails": Countable("int_email_event_customers", "event_at", "not is_machine_open"),
}


class ConditionError(Exception):
    """A declaration that cannot be used; the message names the file, the key and what would do."""


@dataclass(frozen=True)
class Attribute:
    """A column of a customer, and its type as the model's contract says."""

    model: str
    column: str
    data_type: str

    @property
    def kind(self) -> str:
        """text, number, time, day or flag."""
        kind = self.data_type.lower().partition("(")[0]
        known = {"varchar": "text", "date": "day", "boolean": "flag"}
        return known.get(kind, "time" if kind.startswith("timestamp") else "number")


@dataclass(frozen=True)
class Comparison:
    """`attribute operator value`; of a count if `counted` says what."""

    operator: str
    value: Any
    attribute: Attribute | None = None
    counted: str = ""
    where: tuple[tuple[Attribute, tuple[Any, ...]], ...] = ()
    within_days: int | None = None


@dataclass(frozen=True)
class Group:
    """Conditions of which all, any or none hold."""

    kind: str
    members: tuple[Comparison | Group, ...]


@dataclass(frozen=True)
class Audience:
    """A declared audience: `name` without aud_, `path` relative to the dbt project."""

    name: str
    path: str
    settings: Mapping[str, Any]
    select: tuple[Attribute, ...]
    conditions: Group


Columns = Mapping[str, Mapping[str, str]]
"""Model -> column -> data type."""


def columns_of(dbt_project: Path) -> Columns:
    """The columns that conditions may name, as the models' YAML files declare them."""
    wanted = {*PROFILES, *(countable.model for countable in COUNTABLE.values())}
    found: dict[str, dict[str, str]] = {}
    for name in sorted(wanted):
        for path in (dbt_project / "models").rglob(f"{name}.yml"):
            for model in (yaml.safe_load(path.read_text("utf-8")) or {}).get("models", ()):
                if model["name"] == name:
                    found[name] = {
                        str(column["name"]): str(column["data_type"])
                        for column in model.get("columns", ())
                        if "data_type" in column
                    }
    return found


def read(path: Path, dbt_project: Path, columns: Columns) -> Audience:
    """Read one declaration. Raises ConditionError."""
    where = str(path.relative_to(dbt_project))
    try:
        declared = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConditionError(f"{where}{line}: this is not readable YAML") from None
    if not isinstance(declared, dict):
        raise ConditionError(f"{where}: this is no mapping; it has the keys {_listed(SETTINGS)}")
    reader = _Reader(where, columns)
    if not path.stem.isidentifier() or path.stem != path.stem.lower():
        raise reader.error(
            "", f"name the file with a-z, 0-9 and _ ({path.stem} is no model's name)"
        )
    for key in declared:
        if key not in (*SETTINGS, *GROUPS):
            raise reader.error(str(key), f"unknown key; {nearest(str(key), (*SETTINGS, *GROUPS))}")
    for key in REQUIRED:
        if not declared.get(key):
            raise reader.error(key, "is missing")
    size = declared.get("max_size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise reader.error("max_size", f"{size!r} is no number of customers")
    groups = {key: declared[key] for key in GROUPS if key in declared}
    if not groups:
        raise reader.error("all", "is missing: an audience has conditions under all, any or none")
    return Audience(
        name=path.stem,
        path=where,
        settings={key: declared[key] for key in SETTINGS if key in declared and key != "select"},
        select=tuple(
            reader.attribute(f"select[{at}]", name)
            for at, name in enumerate(declared.get("select") or ())
        ),
        conditions=reader.group("", groups),
    )


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the right name: the nearest one, else all there are."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {_listed(words)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


class _Reader:
    """Reads conditions of one file; every error says where it is."""

    def __init__(self, path: str, columns: Columns) -> None:
        self.path = path
        self.columns = columns

    def error(self, key: str, message: str) -> ConditionError:
        return ConditionError(f"{self.path}: {key + ': ' if key else ''}{message}")

    def group(self, at: str, given: Mapping[str, Any]) -> Group:
        groups = []
        for kind, members in given.items():
            key = f"{at}.{kind}".lstrip(".")
            if kind not in GROUPS:
                raise self.error(key, f"unknown key beside all, any, none; {nearest(kind, GROUPS)}")
            if not isinstance(members, list) or not members:
                raise self.error(key, "is no list of conditions")
            read = (self.condition(f"{key}[{n}]", member) for n, member in enumerate(members))
            groups.append(Group(kind, tuple(read)))
        return groups[0] if len(groups) == 1 else Group("all", tuple(groups))

    def condition(self, at: str, given: Any) -> Comparison | Group:
        if not isinstance(given, dict):
            raise self.error(at, "is no condition: write {attribute: …, operator: …, value: …}")
        if set(given) & set(GROUPS):
            return self.group(at, given)
        if "count" in given:
            return self.count(at, given)
        known = ("attribute", "operator", "value")
        self.keys(at, given, known, needed=("attribute", "operator"))
        attribute = self.attribute(f"{at}.attribute", given["attribute"])
        operator = self.operator(at, given["operator"], OPERATORS)
        if operator in RECENCY and attribute.kind not in ("time", "day"):
            raise self.error(
                f"{at}.operator", f"{attribute.column} is no date, so {operator} has no meaning"
            )
        if operator in TEXTS and attribute.kind != "text":
            raise self.error(
                f"{at}.operator", f"{attribute.column} is no text, so {operator} has no meaning"
            )
        return Comparison(
            operator, self.value(at, operator, attribute, given.get("value")), attribute
        )

    def count(self, at: str, given: Mapping[str, Any]) -> Comparison:
        known = ("count", "where", "within_days", "operator", "value")
        self.keys(at, given, known, needed=("operator", "value"))
        what = str(given["count"])
        if what not in COUNTABLE:
            raise self.error(f"{at}.count", f"nothing counts {what}; {nearest(what, COUNTABLE)}")
        model = COUNTABLE[what].model
        where = []
        for column, value in (given.get("where") or {}).items():
            key = f"{at}.where.{column}"
            types = self.columns.get(model, {})
            if column not in types:
                raise self.error(
                    key, f"{what} have no column {column}; {nearest(str(column), types)}"
                )
            attribute = Attribute(model, column, types[column])
            values = value if isinstance(value, list) else [value]
            where.append((attribute, tuple(self.scalar(key, attribute, one) for one in values)))
        days = given.get("within_days")
        if days is not None:
            self.whole(f"{at}.within_days", days)
        operator = self.operator(at, given["operator"], COUNTED_OPERATORS)
        self.whole(f"{at}.value", given["value"])
        return Comparison(operator, given["value"], None, what, tuple(where), days)

    def keys(
        self, at: str, given: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]
    ) -> None:
        for key in given:
            if key not in known:
                raise self.error(f"{at}.{key}", f"unknown key; {nearest(str(key), known)}")
        for key in needed:
            if given.get(key) is None:
                raise self.error(f"{at}.{key}", "is missing")

    def attribute(self, at: str, name: Any) -> Attribute:
        for model in PROFILES:
            if name in self.columns.get(model, {}):
                return Attribute(model, str(name), self.columns[model][name])
        every = [column for model in PROFILES for column in self.columns.get(model, ())]
        raise self.error(at, f"a customer has no attribute {name}; {nearest(str(name), every)}")

    def operator(self, at: str, given: Any, known: tuple[str, ...]) -> str:
        operator = SYMBOLS.get(str(given), str(given).strip().replace(" ", "_"))
        if operator not in known:
            raise self.error(
                f"{at}.operator", f"unknown operator {given}; {nearest(operator, known)}"
            )
        return operator

    def value(self, at: str, operator: str, attribute: Attribute, given: Any) -> Any:
        key = f"{at}.value"
        if operator in PRESENCE:
            if given is not None:
                raise self.error(key, f"{operator} takes no value")
            return None
        if operator in RECENCY:
            self.whole(key, given)
            return given
        if operator in ("in", "not_in"):
            if not isinstance(given, list) or not given:
                raise self.error(key, f"{operator} takes a list, such as [a, b]")
            return tuple(self.scalar(key, attribute, one) for one in given)
        return self.scalar(key, attribute, given)

    def whole(self, at: str, given: Any) -> None:
        if not isinstance(given, int) or isinstance(given, bool) or given < 0:
            raise self.error(at, f"{given!r} is no whole number")

    def scalar(self, at: str, attribute: Attribute, given: Any) -> Any:
        """A value that the column can have; text is kept as text (a YAML `no` is a flag)."""
        named = f"({attribute.column} is {attribute.data_type})"
        is_flag = isinstance(given, bool)
        if attribute.kind == "flag" and is_flag:
            return given
        if attribute.kind == "number" and isinstance(given, int | float) and not is_flag:
            return given
        if attribute.kind == "text" and isinstance(given, str | int | float | date) and not is_flag:
            if any(mark in str(given) for mark in ("{{", "{%", "{#")):
                raise self.error(at, "braces of a template are not allowed in a value")
            return str(given)
        if attribute.kind in ("time", "day") and isinstance(given, str | date | datetime):
            try:
                return datetime.fromisoformat(str(given)).replace(tzinfo=None)
            except ValueError:
                raise self.error(at, f"{given!r} is no date such as 2026-07-01 {named}") from None
        hint = "; put it into quotes" if is_flag and attribute.kind == "text" else ""
        raise self.error(at, f"{given!r} does not fit {named}{hint}")
