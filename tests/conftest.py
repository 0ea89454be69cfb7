"""How tests are shared out: whole runs first and one by one, other files each to one process."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What takes longest starts first, so that no process waits for the other at the end.
LONGEST = (
    "test_sameness.py",
    "test_own_company.py",
    "test_care.py",
    "test_bad_input.py",
    "test_readme.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order and group the tests for `pytest -n 2 --dist loadgroup --no-loadscope-reorder`."""
    for item in items:
        path = Path(item.path)
        if "e2e" not in path.relative_to(HERE).parts or path.name == "test_road.py":
            item.add_marker(pytest.mark.xdist_group(str(path.relative_to(HERE))))
    rank = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(Path(item.path).name, len(rank)))
