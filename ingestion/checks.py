"""Checks of what was declared: each finds a slip, says what is right, and names the nearest word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

Where = tuple[str | int, ...]
_SECRET = re.compile(r"[^$]*\$\{[A-Za-z_][A-Za-z0-9_]*\}[^$]*")


class WrongError(Exception):
    """A declaration that cannot be used; `at` is where in the YAML."""

    def __init__(self, at: Where, message: str) -> None:
        super().__init__(message)
        self.at = at


def mapping(value: Any, at: Where) -> Mapping[str, Any]:
    """The value, which has to be a mapping."""
    if not isinstance(value, dict):
        raise WrongError(at, f"`{at[-1]}` is a mapping")
    return value


def known(block: Mapping[str, Any], allowed: Iterable[str], at: Where) -> None:
    """Every key of the block is one of these."""
    allowed = tuple(allowed)
    for key in block:
        if key not in allowed:
            hint = nearest(str(key), allowed) or f"; the keys are {', '.join(allowed)}"
            raise WrongError((*at, key), f"unknown key `{key}`{hint}")


def one_of(block: Mapping[str, Any], key: str, allowed: Iterable[str], at: Where) -> None:
    """The value at that key is one of these; where it is missing, the first is meant."""
    allowed = tuple(allowed)
    value = block.get(key, allowed[0])
    if value not in allowed:
        hint = nearest(str(value), allowed)
        raise WrongError((*at, key), f"`{key}: {value}` is none of {', '.join(allowed)}{hint}")


def declared(name: Any, columns: Iterable[str], at: Where) -> None:
    """The name is one of the declared columns."""
    columns = tuple(columns)
    if name not in columns:
        raise WrongError(at, f"`{at[-1]}`: no column {name}{nearest(str(name), columns)}")


def text(block: Mapping[str, Any], key: str, at: Where) -> None:
    """What the block has at that key, if anything, is a text with something in it."""
    if key in block and (not isinstance(block[key], str) or not block[key]):
        raise WrongError((*at, key), f"`{key}` is a text")


def number(block: Mapping[str, Any], key: str, at: Where) -> None:
    """What the block has at that key, if anything, is a whole number from 0."""
    value = block.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WrongError((*at, key), f"`{key}` is a whole number, not {value!r}")


def secrets(block: Mapping[str, Any], keys: Iterable[str], at: Where) -> None:
    """What the block has at these keys comes from the environment."""
    for key in keys:
        if key in block and not _SECRET.fullmatch(str(block[key])):
            raise WrongError(
                (*at, key),
                f"`{key}` is a secret: write ${{NAME}}, and set NAME in the environment",
            )


def texts(value: Any, at: Where) -> tuple[str, ...]:
    """A text or a list of texts, as a tuple."""
    values = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise WrongError(at, f"`{at[-1]}` is a text or a list of texts")
    return tuple(values)


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`: did you mean …?`, or nothing where no word is near."""
    close = difflib.get_close_matches(word, list(allowed), 1)
    return f": did you mean `{close[0]}`?" if close else ""
