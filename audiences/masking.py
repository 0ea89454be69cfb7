"""Personal data as a terminal may show it: enough to recognise, too little to use."""

from __future__ import annotations

from typing import Any

PERSONAL = frozenset(
    {
        "first_name", "last_name", "full_name", "email", "phone", "birth_date", "address_line1",
        "postal_code", "user_id", "identifier_value", "given_value", "page_url", "link_url",
    }
)  # fmt: skip
MASK = "…"


def masked(column: str, value: Any) -> Any:
    """The value, or its first letter where the column is personal."""
    if value is None or column.lower() not in PERSONAL:
        return value
    return str(value)[:1] + MASK
