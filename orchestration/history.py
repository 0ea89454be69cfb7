"""Dagster's own storage below MAINSTEM_HOME: runs of the command line and of the UI, together."""

from __future__ import annotations

import os

import dagster as dg
import yaml

from orchestration.home import Home

COMMAND_TAG = "mainstem/command"
"""Marks runs of the command line, which hold the lock on MAINSTEM_HOME all along."""
COMMANDS = ["run", "backfill", "identity", "sync"]

# One run at a time, since one process writes the warehouse; no telemetry leaves the machine.
SETTINGS = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "concurrency": {
        "runs": {"max_concurrent_runs": 1},
        "pools": {"granularity": "op", "default_limit": 1},
    },
    "event_log_storage": {"module": "orchestration.event_log", "class": "EventLog"},
    "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 60},
}


def prepare(home: Home) -> None:
    """Write DAGSTER_HOME with our settings, unless the user has settings of their own there."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        settings.write_text(yaml.safe_dump(SETTINGS, sort_keys=False), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home.dagster)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The Dagster instance that the UI shows as well."""
    prepare(home)
    return dg.DagsterInstance.get()


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Close runs of a command line that was killed, and free the pool slots they left claimed.

    To be called by whoever holds the lock on MAINSTEM_HOME: a command line holds it from its first
    moment to its last, so no run of one can still be alive.
    """
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    ours = dg.RunsFilter(statuses=unfinished, tags={COMMAND_TAG: COMMANDS})
    for run in instance.get_runs(filters=ours):
        instance.report_run_failed(run, "The process was killed; a later run took over.")
    # A run of the UI takes the lock before it claims a slot: whoever claims one now is dead too.
    storage = instance.event_log_storage
    for key in storage.get_concurrency_keys():
        found = storage.get_concurrency_info(key)
        # a step may have been promised its slot and not have taken it yet
        claimed = {slot.run_id for slot in found.claimed_slots}
        for run_id in claimed | {step.run_id for step in found.pending_steps}:
            storage.free_concurrency_slots_for_run(run_id)
