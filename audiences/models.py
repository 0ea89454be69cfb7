"""Declared audiences as dbt models: one SELECT and its YAML each, written where dbt finds them.

What is written is derived: change the declaration in `dbt_project/audiences/`. It is kept in Git, so
that a bare `dbt build` has it and a review shows what a change of conditions means in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from audiences.conditions import (
    COMPARISONS,
    COUNTABLE,
    PRESENCE,
    PROFILES,
    RECENCY,
    TEXTS,
    Attribute,
    Audience,
    Comparison,
    ConditionError,
    Group,
    columns_of,
    read,
)

DECLARATIONS = "audiences"
WRITTEN = Path("models") / "audiences" / "declared"
MARK = "Written from"


@dataclass(frozen=True)
class Written:
    """What compiling changed (paths relative to the dbt project), and what could not be used."""

    changed: tuple[str, ...]
    problems: tuple[str, ...]


def write(dbt_project: Path) -> Written:
    """Bring the models of all declared audiences up to date.

    A declaration with an error leaves its model as it is, and the others are not affected. A file
    is touched only when its text changes.
    """
    folder = dbt_project / WRITTEN
    wanted: dict[Path, str] = {}
    kept: set[str] = set()
    problems = []
    paths = sorted((dbt_project / DECLARATIONS).glob("*.yml"))
    columns = columns_of(dbt_project) if paths else {}
    for path in paths:
        try:
            audience = read(path, dbt_project, columns)
            _check_name(audience, dbt_project)
        except ConditionError as error:
            problems.append(str(error))
            kept.add(f"aud_{path.stem}")
            continue
        wanted[folder / f"aud_{audience.name}.sql"] = sql(audience)
        wanted[folder / f"aud_{audience.name}.yml"] = properties(audience)
    changed = []
    for path, text in wanted.items():
        if not path.exists() or path.read_text("utf-8") != text:
            folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".draft")
            draft.write_text(text, "utf-8")
            draft.replace(path)
            changed.append(str(path.relative_to(dbt_project)))
    for path in sorted(folder.glob("aud_*")) if folder.exists() else ():
        if path not in wanted and path.stem not in kept and MARK in path.read_text("utf-8")[:200]:
            path.unlink()
            changed.append(str(path.relative_to(dbt_project)))
    return Written(tuple(changed), tuple(problems))


def sql(audience: Audience) -> str:
    """The audience's SELECT, with dbt's refs."""
    counts = _counts(audience.conditions)
    ctes = [_count_cte(f"counted_{n}", one) for n, one in enumerate(counts, start=1)]
    # the profile that everybody has leads; the other is joined only if something asks for it
    asked = {one.model for one in (*audience.select, *_attributes(audience.conditions))}
    models = [model for model in PROFILES if model in asked] or ["customer_360"]
    lead = PROFILES[models[0]]
    lines = [f"    {lead}.customer_id"]
    lines += [f"    {_column(one)}" for one in audience.select if one.column != "customer_id"]
    joins = [f"from {{{{ ref('{models[0]}') }}}} as {lead}"]
    joins += [
        f"inner join {{{{ ref('{model}') }}}} as {PROFILES[model]}"
        f" on {lead}.customer_id = {PROFILES[model]}.customer_id"
        for model in models[1:]
    ]
    joins += [
        f"left join counted_{n} on {lead}.customer_id = counted_{n}.customer_id"
        for n in range(1, len(counts) + 1)
    ]
    conditions = _conjuncts(audience.conditions, counts)
    parts = [f"-- {MARK} {audience.path}: change that file, then `mainstem audience compile`."]
    if ctes:
        parts.append("with " + ",\n\n".join(ctes) + "\n")
    parts += ["select", ",\n".join(lines), *joins, "where", "    " + "\n    and ".join(conditions)]
    return "\n".join(parts) + "\n"


def properties(audience: Audience) -> str:
    """The model's YAML: what the declaration says, and the columns as a contract."""
    meta = {k: v for k, v in audience.settings.items() if k != "description"}
    columns: list[dict[str, Any]] = [
        {"name": "customer_id", "data_type": "varchar", "data_tests": ["unique", "not_null"]}
    ]
    columns += [
        {"name": one.column, "data_type": one.data_type}
        for one in audience.select
        if one.column != "customer_id"
    ]
    document = {
        "version": 2,
        "models": [
            {
                "name": f"aud_{audience.name}",
                "description": str(audience.settings["description"]).strip(),
                "config": {
                    "contract": {"enforced": True},
                    "meta": {**meta, "declared_in": audience.path},
                },
                "columns": columns,
            }
        ],
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return f"# {MARK} {audience.path}: change that file, then `mainstem audience compile`.\n{text}"


def _check_name(audience: Audience, dbt_project: Path) -> None:
    for path in (dbt_project / "models").rglob(f"aud_{audience.name}.sql"):
        if path.parent != dbt_project / WRITTEN:
            raise ConditionError(
                f"{audience.path}: {path.relative_to(dbt_project)} is an audience of that name"
                " already: rename or delete one of them"
            )


def _counts(group: Group) -> list[Comparison]:
    """The counts that conditions ask for, each once."""
    found: dict[Comparison, None] = {}
    for member in group.members:
        if isinstance(member, Group):
            found.update(dict.fromkeys(_counts(member)))
        elif member.counted:
            found[_bare(member)] = None
    return list(found)


def _bare(count: Comparison) -> Comparison:
    """A count without what it is compared with: two conditions may share one."""
    return Comparison("", None, None, count.counted, count.where, count.within_days)


def _attributes(group: Group) -> list[Attribute]:
    found = []
    for member in group.members:
        if isinstance(member, Group):
            found += _attributes(member)
        elif member.attribute:
            found.append(member.attribute)
    return found


def _count_cte(name: str, count: Comparison) -> str:
    countable = COUNTABLE[count.counted]
    conditions = [countable.only] if countable.only else []
    conditions += [_among(_name(one.column), values) for one, values in count.where]
    happened = countable.happened_at
    if count.within_days is not None:
        conditions.append(f"{happened} > {{{{ days_before(as_of(), {count.within_days}) }}}}")
    conditions.append(f"{happened} <= {{{{ as_of() }}}}")
    return (
        f"{name} as (\n    select\n        customer_id,\n        count(*) as times\n"
        f"    from {{{{ ref('{countable.model}') }}}}\n    where\n        "
        + "\n        and ".join(conditions)
        + "\n    group by customer_id\n)"
    )


def _conjuncts(group: Group, counts: list[Comparison]) -> list[str]:
    """SQL conditions of which all have to hold."""
    if group.kind == "all":
        return [
            conjunct
            for member in group.members
            for conjunct in (
                _conjuncts(member, counts) if isinstance(member, Group) else [_one(member, counts)]
            )
        ]
    members = [
        _parenthesised(_conjuncts(member, counts))
        if isinstance(member, Group)
        else _one(member, counts)
        for member in group.members
    ]
    if group.kind == "none":
        return [f"not coalesce({member}, false)" for member in members]
    return [f"({' or '.join(members)})"]


def _parenthesised(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"({' and '.join(conditions)})"


def _column(attribute: Attribute) -> str:
    return f"{PROFILES[attribute.model]}.{_name(attribute.column)}"


def _name(column: str) -> str:
    """A column's name, quoted unless it is as plain as names are in the models' own SQL."""
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", column)
    return column if is_plain else '"' + column.replace('"', '""') + '"'


def _one(condition: Comparison, counts: list[Comparison]) -> str:
    operator, value = condition.operator, condition.value
    if condition.attribute is None:
        counted = f"coalesce(counted_{counts.index(_bare(condition)) + 1}.times, 0)"
        return f"{counted} {COMPARISONS.get(operator, '=')} {value}"
    column = _column(condition.attribute)
    write = _WRITE.get(operator, _compared)
    return write(column, operator, value)


def _compared(column: str, operator: str, value: Any) -> str:
    signs = {"is": "=", "is_not": "is distinct from", **COMPARISONS}
    return f"{column} {signs[operator]} {_literal(value)}"


def _presence(column: str, operator: str, _: None) -> str:
    return f"{column} is {'not ' if operator == 'is_known' else ''}null"


def _recency(column: str, operator: str, days: int) -> str:
    since = f"{{{{ days_before(as_of(), {days}) }}}}"
    if operator == "more_than_days_ago":
        return f"{column} < {since}"
    return f"({column} > {since} and {column} <= {{{{ as_of() }}}})"


def _membership(column: str, operator: str, values: tuple[Any, ...]) -> str:
    among = _among(column, values)
    return among if operator == "in" else f"not coalesce({among}, false)"


def _text(column: str, operator: str, value: str) -> str:
    if operator == "contains":
        return f"position({_literal(value)} in {column}) > 0"
    return f"left({column}, {len(value)}) = {_literal(value)}"


_WRITE: dict[str, Callable[[str, str, Any], str]] = {
    **dict.fromkeys(PRESENCE, _presence),
    **dict.fromkeys(RECENCY, _recency),
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(("in", "not_in"), _membership),
}
"""How an operator is written; any other is a comparison."""


def _among(column: str, values: tuple[Any, ...]) -> str:
    if len(values) == 1:
        return f"{column} = {_literal(values[0])}"
    return f"{column} in ({', '.join(map(_literal, values))})"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"cast('{value:%Y-%m-%d %H:%M:%S}' as timestamp)"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)
