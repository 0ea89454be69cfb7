"""Everything Dagster knows of the project: `dagster dev -m orchestration.definitions`."""

from __future__ import annotations

import dagster as dg

from orchestration.assembly import assemble
from orchestration.home import find_home


@dg.definitions
def mainstem() -> dg.Definitions:
    """One lineage from source file to destination."""
    return assemble(find_home()).definitions
