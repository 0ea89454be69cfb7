"""One file a destination type, found by scanning this folder: a new one is one new file."""

import functools
import importlib
import inspect
import pkgutil
import sys

from reverse_etl.destination import Destination

# httpx imports its command line with itself, and with that rich and pygments, where they are
# installed: that takes longer than all the rest of it
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def names() -> tuple[str, ...]:
    """The destination types there are, sorted. Imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@functools.cache
def find(name: str) -> type[Destination]:
    """The destination class in `<name>.py`; KeyError if there is no such file."""
    if name not in names():
        raise KeyError(name)
    module = importlib.import_module(f"{__name__}.{name}")
    (found,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Destination) and member.__module__ == module.__name__
    )
    return found
