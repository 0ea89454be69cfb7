"""Putting the road together: declarations and manifest in, Dagster definitions out."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from audiences import models as audience_models
from ingestion import declarations as source_declarations
from ingestion.sources import SourceTable
from orchestration.defs import (
    backfills,
    graph,
    loads,
    models,
    publishing,
    rhythms,
    schedules,
    sync_checks,
    syncs,
)
from orchestration.home import Home
from orchestration.progress import Progress
from orchestration.project import Project
from orchestration.runtime import RESOURCE, Mainstem
from reverse_etl import declarations as sync_declarations

JOB = "mainstem"


@dataclass(frozen=True)
class Assembly:
    """Definitions, and what could not be used of what was declared (in words)."""

    definitions: dg.Definitions
    mainstem: Mainstem
    tables: tuple[SourceTable, ...]
    problems: tuple[str, ...]


def assemble(home: Home, progress: Progress | None = None, *, holds_lock: bool = False) -> Assembly:
    """Read what is declared and define assets, job and schedule. Parses dbt if a file changed.

    An audience, source or sync that is declared wrongly takes nothing down but itself. Raises ProjectError
    when dbt cannot parse the project. `holds_lock`: the caller has the lock on MAINSTEM_HOME.
    """
    written = audience_models.write(home.dbt_project)
    project = Project(home)
    declared = source_declarations.read(home.staging)
    tables = [table for table in declared.tables if table.source in project.sources]
    problems = {
        (problem.source, problem.table): str(problem)
        for problem in declared.problems
        if problem.source in project.sources
    }
    sync_set = sync_declarations.read(project.manifest)
    dbt_models = models.build(project)
    sync_keys = [syncs.key_of(sync) for sync in sync_set.syncs]
    mainstem = Mainstem(home, project, progress, holds_lock=holds_lock)
    definitions = dg.Definitions(
        assets=[
            *loads.build(tables, problems),
            dbt_models,
            graph.build(),
            *syncs.build(sync_set.syncs),
            *publishing.build(dbt_models.keys, sync_keys),
        ],
        asset_checks=sync_checks.build(sync_set.syncs),
        jobs=[
            dg.define_asset_job(JOB, dg.AssetSelection.all()),
            *backfills.build(tables),
        ],
        sensors=schedules.build_sensors(tables, home),
        schedules=[
            *schedules.build_schedules(tables),
            *schedules.build_sync_schedules(sync_set.syncs),
            dg.ScheduleDefinition(
                name=schedules.DAILY,
                job_name=JOB,
                cron_schedule=rhythms.cron(schedules.DAILY),
                execution_timezone="UTC",
                description="The whole road, every morning.",
            ),
        ],
        resources={RESOURCE: mainstem.resource()},
        executor=dg.in_process_executor,
    )
    return Assembly(
        definitions=definitions,
        mainstem=mainstem,
        tables=tuple(tables),
        problems=(*written.problems, *(str(problem) for problem in sync_set.problems)),
    )
