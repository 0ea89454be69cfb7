"""A YAML mapping that knows where it stands, so that every complaint can name the file and the
key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

# libyaml reads a file in a tenth of the time, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def nearest(word: str, known: Sequence[str]) -> str:
    """Say which known word was probably meant, or which there are."""
    near = difflib.get_close_matches(word, known, n=1)
    if not near:
        lower = {k.lower(): k for k in known}
        near = [lower[k] for k in difflib.get_close_matches(word.lower(), list(lower), n=1)]
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"


class RulesError(ValueError):
    """A rules file that cannot be used; the message names the file, the key and the nearest right
    one.
    """


def read_yaml(text: str, path: Path) -> Any:
    """Return what a YAML text says; `path` is what a RulesError names."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RulesError(f"{path}{line}: not valid YAML; check indentation and quotes") from error


class Section:
    """One mapping of the file; reading a key checks its type and remembers nothing else."""

    def __init__(self, path: Path, where: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise RulesError(
                f"{path}: `{where or 'the file'}` must be a mapping of keys to values,"
                f" not {type(content).__name__}"
            )
        self._path = path
        self._where = where
        self._content: dict[str, Any] = {str(key): value for key, value in content.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    @property
    def where(self) -> str:
        """Return the place of this mapping in the file."""
        return self._where

    def empty(self, key: str) -> bool:
        """Return whether nothing stands under `key`."""
        return not self._content.get(key)

    def fail(self, key: str, problem: str) -> RulesError:
        """Return the error that says what is wrong with `key`."""
        return RulesError(f"{self._path}: `{self._place(key)}` {problem}")

    def only(self, *allowed: str) -> None:
        """Refuse keys that nothing reads: a misspelt key would otherwise silently do nothing."""
        for key in self._content:
            if key not in allowed:
                raise self.fail(key, f"is not a known key; {nearest(key, allowed)}")

    def section(self, key: str) -> Section:
        """Return the mapping under `key`."""
        return Section(self._path, self._place(key), self._need(key))

    def sections(self, key: str) -> list[Section]:
        """Return the list of mappings under `key`."""
        place = self._place(key)
        return [
            Section(self._path, f"{place}[{index + 1}]", item)
            for index, item in enumerate(self._list(key))
        ]

    def plain(self, key: str) -> Any:
        """Return whatever stands under `key`."""
        return self._need(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return the text under `key`."""
        value = self._need(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, f"must be text, not {value!r}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return the true or false under `key`."""
        value = self._need(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, not {value!r}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """Return the number under `key`, which must lie between `low` and `high`."""
        value = self._need(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, f"must be a number, not {value!r}")
        if not low <= value <= high:
            raise self.fail(key, f"must lie between {low:g} and {high:g}, not be {value:g}")
        return float(value)

    def whole(self, key: str, low: int) -> int:
        """Return the whole number under `key`, at least `low`."""
        value = self.number(key, low, float("inf"))
        if value != int(value):
            raise self.fail(key, f"must be a whole number, not {value:g}")
        return int(value)

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """Return the word under `key`, one of `allowed`."""
        value = self.text(key)
        if value not in allowed:
            raise self.fail(key, f"is `{value}`; {nearest(value, allowed)}")
        return value

    def texts(self, key: str, allowed: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the list of texts under `key`, each one of `allowed` if that is given."""
        values = self._list(key)
        for value in values:
            if not isinstance(value, str):
                raise self.fail(key, f"must be a list of texts, but has {value!r}; quote it")
            if allowed is not None and value not in allowed:
                raise self.fail(key, f"has `{value}`; {nearest(value, allowed)}")
        return tuple(values)

    def dates(self, key: str) -> tuple[date, ...]:
        """Return the list of dates (YYYY-MM-DD) under `key`."""
        return tuple(self._date(key, value) for value in self._list(key))

    def day(self, key: str) -> date:
        """Return the date (YYYY-MM-DD) under `key`."""
        return self._date(key, self._need(key))

    def _date(self, key: str, value: Any) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError as error:
            raise self.fail(key, f"has {value!r}, which is no date like 1900-01-01") from error

    def _list(self, key: str) -> list[Any]:
        value = self._need(key, [])
        if not isinstance(value, list):
            raise self.fail(key, f"must be a list, not {type(value).__name__}")
        return value

    def _need(self, key: str, default: Any = None) -> Any:
        value = self._content.get(key, default)
        if value is None:
            raise self.fail(key, "is missing")
        return value

    def _place(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
