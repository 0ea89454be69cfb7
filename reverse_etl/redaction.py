"""Keeping personal data out of what is logged: a receiver's own words are somebody else's text."""

import json
import re

EMAIL = re.compile(r"[^\s@<>\"',;:]+@[^\s@<>\"',;:]+")
LONG_NUMBER = re.compile(r"\+?\d[\d ().-]{4,}\d")
LONGEST_READ = 2_000
LONGEST_KEPT = 200
SHORTEST_VALUE = 3
KEY_HERE = "\0"
LONGEST_NUMBER_SHOWN = 100_000
# a date alone may be a birthday; a moment is none
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def redact(text: str, key: str, fields: str) -> str:
    """`text` without addresses, long numbers and any value of the row (`fields`: its JSON object).

    The row's key stays where it stands by itself: it is in the log anyway. Cut to 200 characters.
    """
    text = text[:LONGEST_READ].replace(KEY_HERE, "")
    text = re.sub(rf"(?<![\w.@+-]){re.escape(key)}(?![\w.@+-])", KEY_HERE, text)
    values = {value for value in _texts(json.loads(fields)) if len(value) >= SHORTEST_VALUE}
    for value in sorted(values - {key}, key=lambda value: (-len(value), value)):
        text = re.sub(re.escape(value), "[value]", text, flags=re.IGNORECASE)
    text = LONG_NUMBER.sub("[number]", EMAIL.sub("[email]", text))
    return text.replace(KEY_HERE, key)[:LONGEST_KEPT]


def _texts(value: object) -> set[str]:
    """Every text and number in a JSON value, as it would be written in a message."""
    if isinstance(value, dict):
        return set().union(*map(_texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(_texts, value))
    if isinstance(value, bool) or value is None:
        return set()
    text = str(value)
    return {text} if len(text) <= LONGEST_READ else set()


def masked(value: object) -> object:
    """A JSON value to be shown: of texts the first letter and the length, of long numbers the
    length; short numbers, moments, booleans and null stay as they are."""
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if abs(value) < LONGEST_NUMBER_SHOWN else f"…({len(str(value))})"
    text = str(value)
    if MOMENT.fullmatch(text):
        return text
    return f"{text[:1]}…({len(text)})" if text else ""
