"""Hints at the name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the right name: the nearest one, else all there are."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(words)}" if words else "there are none"
