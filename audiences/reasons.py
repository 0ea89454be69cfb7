"""Why a customer is, or is not, in an audience: its SELECT, condition by condition.

The SELECT as it was run is taken apart: every condition that WHERE, HAVING, QUALIFY or an inner
join puts on rows is dropped, and then put back one after the other, in the order of the SQL. After
each, the customer is still selected (it holds) or not (it fails, and stays dropped, so that the next
one is judged by itself). A HAVING is so judged over the rows that the conditions before it leave.

It runs on the published file alone, with the views behind the SELECT recreated in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from audiences.masking import masked
from audiences.published import AudienceError, Definition

DIALECT = "duckdb"
SHOWN_VALUES = 3
LOOKED_AT = 1000
"""Rows of one customer that values are taken from."""


@dataclass(frozen=True)
class Judged:
    """One condition. `holds` is None where the customer has no row that it could be asked of."""

    within: str
    """The CTE it is in; empty for the SELECT itself."""
    sql: str
    holds: bool | None
    values: tuple[tuple[str, str], ...] = ()
    """What the condition looks at, and what that is for this customer."""


@dataclass(frozen=True)
class Source:
    """Something the SELECT joins, and whether this customer is in it (None: it knows no customers)."""

    name: str
    has_customer: bool | None


@dataclass(frozen=True)
class Reasons:
    is_selected: bool
    conditions: tuple[Judged, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class _Site:
    """Where a condition stands: the index of its SELECT in `_selects`, and its clause."""

    select: int
    within: str
    clause: str
    node: exp.Expr


def explain(published: Path, definition: Definition, customer_id: str) -> Reasons:
    """Judge every condition of the audience for one customer. Raises AudienceError."""
    try:
        tree = sqlglot.parse_one(definition.sql, dialect=DIALECT)
    except SqlglotError:
        raise AudienceError(
            f"{definition.declared_in}: its SELECT cannot be taken apart; `mainstem audience sql"
            f" {definition.audience_id}` shows it"
        ) from None
    with _mirror(published, definition) as con:
        try:
            return _judge(con, tree, customer_id)
        except duckdb.Error as error:
            raise AudienceError(
                f"{definition.declared_in}: its SELECT does not run on the published file"
                f" ({type(error).__name__}): it reads what is not published, or a later model has"
                " other columns: do `mainstem run`"
            ) from None


@contextmanager
def _mirror(published: Path, definition: Definition) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory by the warehouse's name: views on everything published, and the views
    behind the audience."""
    with closing(duckdb.connect(":memory:")) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach '{str(published).replace(chr(39), chr(39) * 2)}' as file (read_only)")
        con.execute(f"attach ':memory:' as {_quote(published.stem)}")
        con.execute(f"use {_quote(published.stem)}")
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'file'"
        ).fetchall()
        for schema, table in tables:
            name = f"{_quote(schema)}.{_quote(table)}"
            con.execute(f"create schema if not exists {_quote(schema)}")
            con.execute(f"create view {name} as from file.{name}")
        for schema in ("staging", "intermediate"):
            con.execute(f"create schema if not exists {schema}")
        try:
            for view in definition.views:
                con.execute(view)
        except duckdb.Error:
            raise AudienceError(
                f"{definition.declared_in}: it reads staging models, whose tables are not published:"
                " conditions can be judged for audiences over canonical tables and marts"
            ) from None
        yield con


def _judge(con: duckdb.DuckDBPyConnection, tree: exp.Expr, customer_id: str) -> Reasons:
    sites = _sites(tree)
    everything = frozenset(range(len(sites)))
    is_selected = _selects_customer(con, _keeping(tree, everything), customer_id)
    kept: frozenset[int] = frozenset()
    has_rows = _selects_customer(con, _keeping(tree, kept), customer_id)
    judged = []
    for number, site in enumerate(sites):
        holds = None
        if has_rows:
            holds = _selects_customer(con, _keeping(tree, kept | {number}), customer_id)
        values = _values(con, _keeping(tree, kept), site, customer_id) if has_rows else ()
        judged.append(Judged(site.within, _shown(con, site.node), holds, values))
        if holds:
            kept |= {number}
    sources = () if has_rows else tuple(_sources(con, _keeping(tree, frozenset()), customer_id))
    return Reasons(is_selected, tuple(judged), sources)


def _selects(tree: exp.Expr) -> list[tuple[str, exp.Select]]:
    """The SELECTs whose rows flow into the result, in order, with the CTE that each is in.

    Subqueries inside of a condition belong to the condition.
    """
    found = []
    for select in tree.find_all(exp.Select, bfs=False):
        holder = select.find_ancestor(exp.CTE)
        if not _is_inside_condition(select):
            found.append((holder.alias if holder else "", select))
    # CTEs come before what reads them
    return sorted(found, key=lambda pair: pair[0] == "")


def _is_inside_condition(select: exp.Select) -> bool:
    clause = select.find_ancestor(exp.Where, exp.Having, exp.Qualify, exp.Join, exp.Select, exp.CTE)
    if isinstance(clause, exp.Join):
        return not isinstance(select.parent, exp.Subquery) or clause.this is not select.parent
    return isinstance(clause, exp.Where | exp.Having | exp.Qualify)


def _sites(tree: exp.Expr) -> list[_Site]:
    found = []
    for index, (within, select) in enumerate(_selects(tree)):
        for join in select.args.get("joins") or ():
            if not join.side and join.args.get("on") is not None:
                found += [
                    _Site(index, within, "join", node)
                    for node in _conjuncts(join.args["on"])
                    if not _is_link(node)
                ]
        for clause in ("where", "having", "qualify"):
            if select.args.get(clause):
                found += [
                    _Site(index, within, clause, node)
                    for node in _conjuncts(select.args[clause].this)
                ]
    return found


def _conjuncts(condition: exp.Expr) -> list[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        return [*_conjuncts(condition.left), *_conjuncts(condition.right)]
    return [condition]


def _is_link(node: exp.Expr) -> bool:
    """Whether an ON condition says which rows belong together, rather than which are wanted."""
    return isinstance(node, exp.EQ) and all(
        side.find(exp.Column) is not None for side in (node.left, node.right)
    )


def _keeping(tree: exp.Expr, kept: frozenset[int]) -> exp.Expr:
    """The SELECT with only these of its conditions."""
    copied = tree.copy()
    for number, site in enumerate(_sites(copied)):
        if number not in kept:
            site.node.replace(exp.true())
    return copied


def _selects_customer(con: duckdb.DuckDBPyConnection, tree: exp.Expr, customer_id: str) -> bool:
    sql = f"select 1 from ({tree.sql(DIALECT)}) as audience where customer_id = ? limit 1"
    return bool(con.execute(sql, [customer_id]).fetchall())


def _sources(con: duckdb.DuckDBPyConnection, tree: exp.Expr, customer_id: str) -> Iterator[Source]:
    """The tables and CTEs that the SELECT itself joins and that know customers."""
    (root,) = [select for within, select in _selects(tree) if within == ""][:1]
    joined = [join.this for join in root.args.get("joins") or () if not join.side]
    for relation in (root.args["from_"].this, *joined):
        if not isinstance(relation, exp.Table):
            continue
        asked = exp.select("1").from_(exp.Table(**{**relation.args, "alias": None}))
        asked = asked.where("customer_id = ?", dialect=DIALECT).limit(1)
        asked.set("with_", root.args["with_"].copy() if root.args.get("with_") else None)
        try:
            rows = con.execute(asked.sql(DIALECT), [customer_id]).fetchall()
        except duckdb.BinderException:
            yield Source(relation.name, None)  # what links it to customers is another one
            continue
        yield Source(relation.name, bool(rows))


def _values(
    con: duckdb.DuckDBPyConnection, tree: exp.Expr, site: _Site, customer_id: str
) -> tuple[tuple[str, str], ...]:
    """What a condition looks at, for this customer; nothing where their rows cannot be told."""
    _, select = _selects(tree)[site.select]
    owner = next((one for one in select.expressions if one.alias_or_name == "customer_id"), None)
    operands = _operands(site.node)
    if owner is None or not operands:
        return ()
    asked = select.copy()
    asked.set("expressions", [operand.copy() for operand in operands])
    for clause in ("having", "qualify", "order", "limit", "distinct"):
        asked.set(clause, None)
    if site.clause in ("where", "join"):
        asked.set("group", None)
    root_ctes = tree.args.get("with_")
    if root_ctes and not asked.args.get("with_"):
        asked.set("with_", root_ctes.copy())
    mine = exp.EQ(this=owner.unalias().copy(), expression=exp.Placeholder())
    asked = asked.where(mine, dialect=DIALECT)
    try:
        rows = con.execute(
            f"select distinct * from ({asked.sql(DIALECT)}) as asked order by all limit {LOOKED_AT}",
            [customer_id],
        ).fetchall()
    except duckdb.Error:
        return ()
    found = []
    for at, operand in enumerate(operands):
        column = operand.find(exp.Column)
        name = column.name if column else ""
        seen = list(dict.fromkeys(_text(masked(name, row[at])) for row in rows))
        ends = f"{seen[0]} … {seen[-1]}" if seen else ""
        found.append((operand.sql(DIALECT), ", ".join(seen) if len(seen) <= SHOWN_VALUES else ends))
    return tuple(found) if rows else ()


def _operands(condition: exp.Expr) -> list[exp.Expr]:
    """The sides of a comparison that depend on data; of any other condition its columns."""
    inner = condition
    while isinstance(inner, exp.Not | exp.Paren):
        inner = inner.this
    sides: list[exp.Expr]
    if isinstance(inner, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        sides = [inner.left, inner.right]
    elif isinstance(inner, exp.In | exp.Between | exp.Is | exp.Like):
        sides = [inner.this]
    else:
        sides = list(inner.find_all(exp.Column))
    named = {side.sql(DIALECT): side for side in sides if side.find(exp.Column, exp.Count)}
    return list(named.values())[:SHOWN_VALUES]


def _shown(con: duckdb.DuckDBPyConnection, condition: exp.Expr) -> str:
    """The condition as text, with what is the same for everybody computed."""

    def computed(node: exp.Expr) -> exp.Expr:
        is_computed = isinstance(node, exp.Add | exp.Sub | exp.Cast | exp.Func | exp.Paren)
        if not is_computed or isinstance(node, exp.Interval) or node.find(*_BY_ROW):
            return node
        try:
            ((value,),) = con.execute(f"select {node.sql(DIALECT)}").fetchall()
        except duckdb.Error:
            return node
        return exp.var(_text(value))

    text = condition.copy().transform(computed).sql(DIALECT)
    return re.sub(r"NOT (\S+) IS NULL", r"\1 IS NOT NULL", str(text))


_BY_ROW = (exp.Column, exp.AggFunc, exp.Star, exp.Window, exp.Subquery)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "not known" if value is None else str(value)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
