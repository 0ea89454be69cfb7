"""A sync and its checks as Dagster runs them, against a real receiver."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from orchestration.defs import rhythms, schedules, sync_checks, syncs
from orchestration.defs.publishing import LEDGER_KEYS
from orchestration.progress import Progress

if TYPE_CHECKING:
    from conftest import World


def run(
    world: World, instance: dg.DagsterInstance, *, now: datetime, consent: str = "granted"
) -> dict[str, Any]:
    """The sync, the ledger's tables, the checks; what each check said by name.

    `consent` is what everybody says once the sync has run.
    """
    mainstem = SimpleNamespace(
        home=world.home, now=now, progress=Progress(), facts={}, left_out=[],
        project=SimpleNamespace(sources={}),
        environment=lambda: {"URL": world.url, "SECRET": "s" * 32},
    )  # fmt: skip
    mainstem.leave_out = mainstem.left_out.append

    @dg.multi_asset(
        specs=[dg.AssetSpec(key, deps=[syncs.key_of(world.sync)]) for key in LEDGER_KEYS]
    )
    def sync_ledger() -> Any:
        for one in world.people.values():
            one.consent = one.consent and consent
        world.publish()
        for key in LEDGER_KEYS:
            yield dg.MaterializeResult(asset_key=key)

    world.publish()
    result = dg.materialize(
        [*syncs.build([world.sync]), sync_ledger, *sync_checks.build([world.sync])],
        instance=instance,
        resources={"mainstem": mainstem},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    (told,) = result.asset_materializations_for_node(syncs.op_name(world.sync.name))
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    found["asset"] = {name: value.value for name, value in told.metadata.items()}
    return found


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def test_a_good_run(world: World, person: Any, instance: dg.DagsterInstance) -> None:
    world.people |= {"ann": person(), "bob": person(), "eve": person(consent=None)}
    found = run(world, instance, now=datetime(2026, 3, 1))
    asset = found.pop("asset")
    assert found.keys() == {"delivered", *sync_checks.CHECKS}
    assert all(one.passed for one in found.values())
    assert {name: asset[name] for name in ("rows_added", "rows_suppressed", "requests")} == {
        "rows_added": 2,
        "rows_suppressed": 1,
        "requests": 1,
    }
    assert asset["bytes_sent"] > 0
    assert asset["rows_per_second"] == pytest.approx(2 / asset["seconds"], rel=0.1)
    assert found["parity"].metadata["held"].value == 2


def test_refused_rows_warn_above_the_share_that_is_allowed(
    world: World, person: Any, instance: dg.DagsterInstance
) -> None:
    world.people |= {"ann": person(), "bob": person()}
    world.bad_keys.add("cus_ann")
    found = run(world, instance, now=datetime(2026, 3, 1))
    assert not found["rejected_share"].passed
    assert found["rejected_share"].severity == dg.AssetCheckSeverity.WARN
    assert found["rejected_share"].metadata["share"].value == 0.5
    assert found["parity"].passed
    world.sync = replace(world.sync, rejected_percent=50.0)
    assert run(world, instance, now=datetime(2026, 3, 2))["rejected_share"].passed


def test_somebody_there_without_consent_is_an_error(
    world: World, person: Any, instance: dg.DagsterInstance
) -> None:
    world.people["ann"] = person()
    found = run(world, instance, now=datetime(2026, 3, 1), consent="withdrawn")
    assert found["delivered"].passed
    assert not found["no_consent_leaks"].passed
    assert found["no_consent_leaks"].severity == dg.AssetCheckSeverity.ERROR


def test_a_success_with_nothing_to_do_is_fresh_and_no_success_for_long_is_not(
    world: World, person: Any, instance: dg.DagsterInstance
) -> None:
    world.people["ann"] = person()
    run(world, instance, now=datetime(2026, 3, 1))
    # Dagster's history has the run of a moment ago, the ledger that of March
    assert run(world, instance, now=datetime(2026, 3, 20))["fresh"].passed
    another = dg.DagsterInstance.ephemeral()
    found = run(world, another, now=datetime.now() + timedelta(days=400))
    assert not found["fresh"].passed
    assert found["fresh"].metadata["hours"].value > 24 * 300


def test_schedules_of_their_own(world: World) -> None:
    often = replace(world.sync, name="often", schedule="*/15 * * * *")
    (schedule,) = schedules.build_sync_schedules([world.sync, often])
    assert (schedule.name, schedule.cron_schedule) == ("sync__often", "*/15 * * * *")

    @dg.multi_asset(specs=[dg.AssetSpec(key) for key in LEDGER_KEYS])
    def sync_ledger() -> Any:
        yield from ()

    definitions = dg.Definitions(
        assets=[*syncs.build([world.sync, often]), sync_ledger],
        asset_checks=sync_checks.build([world.sync, often]),
        schedules=[schedule],
        resources={"mainstem": None},
    )
    job = definitions.resolve_job_def(schedule.job_name)
    assert set(job.asset_layer.executable_asset_keys) == {*syncs.alone("often")}
    assert {key.asset_key for key in job.asset_layer.asset_graph.asset_check_keys} == {
        syncs.key_of(often)
    }
    moment = datetime(2026, 3, 1, 12, 0)
    assert rhythms.due_since("daily", moment) == datetime(2026, 2, 28, 5, 0)
    assert rhythms.due_since("*/15 * * * *", moment) == datetime(2026, 3, 1, 11, 45)
