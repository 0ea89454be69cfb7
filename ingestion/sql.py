"""Names and texts made safe to stand in SQL, for the places where nothing can be bound."""

from __future__ import annotations

from ingestion.sources import SourceTable


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def pointer(*names: str) -> str:
    """What these keys lead to in a JSON document, one in the other, as a JSON pointer in a literal."""
    return literal("".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names))


def raw_view(table: SourceTable) -> str:
    """The quoted name under which everyone reads a declared table."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def stored_table(table: SourceTable) -> str:
    """The quoted name of the table that a declaration's rows are stored in, for loading alone."""
    return f"ingestion.{quoted(f'{table.schema}.{table.name}')}"
