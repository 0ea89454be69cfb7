"""From whatever somebody has in hand to the customer it stands for today."""

from __future__ import annotations

import re

import duckdb


def find_customers(con: duckdb.DuckDBPyConnection, text: str) -> tuple[str, list[str], str | None]:
    """Return what `text` is, the customers it leads to (best first), and the retired id it was.

    Without a customer the list is empty; the retired id is None where `text` is not one.
    """
    current = resolve_forward(con, text)
    if current is not None:
        return "customer id", [current], text if current != text else None
    by_key = column(
        con,
        """
        select customer_id
        from identity.crosswalk
        where node_key = $1 or ends_with(node_key, ':' || $1)
        group by all
        order by bool_or(node_key = $1) desc, customer_id
        """,
        [text],
    )
    if by_key:
        return "record", by_key, None
    by_value = con.execute(
        """
        select i.identifier_type, x.customer_id
        from identity.identifiers as i
        join identity.crosswalk as x using (node_key)
        where list_contains($values::varchar[], i.identifier_value)
            or ($digits <> '' and i.identifier_type = 'phone' and ends_with(i.identifier_value,
            $digits))
        group by all
        order by count(*) desc, x.customer_id
        """,
        {"values": spellings(text), "digits": _national_digits(text)},
    ).fetchall()
    if not by_value:
        return "", [], None
    return str(by_value[0][0]), list(dict.fromkeys(str(c) for _, c in by_value)), None


def resolve_forward(con: duckdb.DuckDBPyConnection, customer_id: str) -> str | None:
    """Return the customer that an id, retired or not, stands for today; None if there is none any
    more.
    """
    seen: set[str] = set()
    current = customer_id
    while current not in seen:
        seen.add(current)
        if column(con, "select 1 from identity.crosswalk where customer_id = ? limit 1", [current]):
            return current
        following = column(
            con,
            """
            select to_customer_id
            from identity.history
            where event = 'merge' and from_customer_id = ?
            order by changed_at desc, to_customer_id
            limit 1
            """,
            [current],
        )
        if not following:
            return None
        current = following[0]
    return None


def spellings(text: str) -> list[str]:
    """Return the forms in which the value may stand in identity.identifiers, which has it normalised."""
    forms = {text, re.sub(r"[^A-Z0-9]", "", text.upper())}
    if "@" in text:
        local, _, domain = text.lower().partition("@")
        bare = local.split("+")[0]
        forms |= {text.lower(), f"{bare}@{domain}"}
        if domain in ("gmail.com", "googlemail.com"):
            forms.add(f"{bare.replace('.', '')}@gmail.com")
    forms.discard("")
    return sorted(forms)


def _national_digits(text: str) -> str:
    """The digits that end a phone number in any notation, or nothing if the text is not one."""
    if re.search(r"[^0-9+().\-/ ]", text):
        return ""
    digits = re.sub(r"\D", "", text).lstrip("0")
    return digits if len(digits) >= 7 else ""


def column(con: duckdb.DuckDBPyConnection, sql: str, values: list[str]) -> list[str]:
    return [str(row[0]) for row in con.execute(sql, values).fetchall()]
