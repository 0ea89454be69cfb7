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
    found = con.execute(
        "select current_customer_id from identity.resolve_forward where customer_id = ?",
        [customer_id],
    ).fetchall()
    return str(found[0][0]) if found and found[0][0] else None


def find_nodes(con: duckdb.DuckDBPyConnection, text: str) -> tuple[str, list[str]]:
    """Return what `text` is, and the nodes that it means: a record, the carriers of a value, or all
    of a customer's.
    """
    exact = column(con, "select node_key from identity.crosswalk where node_key = ?", [text])
    if exact:
        return "record", exact
    current = resolve_forward(con, text)
    if current is not None:
        return "customer id", column(
            con,
            "select node_key from identity.crosswalk where customer_id = ? order by node_key",
            [current],
        )
    carried = con.execute(
        """
        select identifier_type, node_key
        from identity.identifiers
        where list_contains($values::varchar[], identifier_value)
            or ($digits <> '' and identifier_type = 'phone'
                and ends_with(identifier_value, $digits))
        order by starts_with(node_key, 'anon:'), node_key
        """,
        {"values": spellings(text), "digits": _national_digits(text)},
    ).fetchall()
    if carried:
        return str(carried[0][0]), list(dict.fromkeys(str(key) for _, key in carried))
    return "record", column(
        con,
        "select node_key from identity.crosswalk where ends_with(node_key, ':' || ?) order by all",
        [text],
    )


def spellings(text: str) -> list[str]:
    """Return the forms in which the value may stand in identity.identifiers, which has it normalised."""
    forms = {text, re.sub(r"[^A-Z0-9]", "", text.upper())}
    if "@" in text:
        local, _, domain = text.lower().partition("@")
        bare = local.split("+")[0]
        forms |= {text.lower(), f"{bare}@{domain}"}
        if domain in ("gmail.com", "googlemail.com"):
            forms.add(f"{bare.replace('.', '')}@gmail.com")
    forms.add(_international(text))
    forms.discard("")
    return sorted(forms)


def _international(text: str) -> str:
    """A phone number with its country in it, as identity.identifiers has it; or nothing."""
    if not re.fullmatch(r"\s*(\+|00)[0-9().\-/\s]+", text):
        return ""
    # the (0) of +44 (0)20 is dialled only without the country
    return "+" + re.sub(r"\D", "", text.replace("(0)", "")).removeprefix("00")


def _national_digits(text: str) -> str:
    """The digits that end a phone number in any notation, or nothing if the text is not one."""
    if re.search(r"[^0-9+().\-/ ]", text):
        return ""
    digits = re.sub(r"\D", "", text).lstrip("0")
    return digits if len(digits) >= 7 else ""


def column(con: duckdb.DuckDBPyConnection, sql: str, values: list[str]) -> list[str]:
    return [str(row[0]) for row in con.execute(sql, values).fetchall()]
