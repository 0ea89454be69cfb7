"""Names and texts made safe to stand in SQL where nothing can be bound."""


def name(*parts: str) -> str:
    """A quoted identifier: `name("marts", "t")` is `"marts"."t"`."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text(value: str) -> str:
    """A quoted string literal."""
    return "'" + value.replace("'", "''") + "'"
