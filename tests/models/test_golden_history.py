"""golden_customers_history through changes, merges, splits, erasures and a new attribute."""

from __future__ import annotations

from typing import Any

import pytest

MOVED_IDS = {"customer_id": "varchar", "current_customer_id": "varchar"}
CROSSWALK = {"node_key": "varchar", "customer_id": "varchar"}


class Company:
    """Golden customers and identity's history as a test wants them, and a run at a moment."""

    def __init__(self, models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models, self.monkeypatch = models, monkeypatch
        self.retired: dict[str, str | None] = {}

    def retire(self, ids: list[str], heir: str | None) -> None:
        self.retired |= dict.fromkeys(ids, heir)

    def run(
        self, day: str, customers: dict[str, dict[str, str]], visitors: tuple[str, ...] = ()
    ) -> None:
        """`visitors` are ids that identity has and golden_customers has not."""
        self.monkeypatch.setenv("MAINSTEM_AS_OF", f"{day} 00:00:00")
        self.models.project.begin()
        nodes = self.models.project.manifest["nodes"]
        declared = nodes["model.mainstem.golden_customers"]["columns"].values()
        columns = {"customer_id": "varchar", "attributes_hash": "varchar"}
        for column in declared:
            if "survivorship" in column["config"]["meta"]:
                columns |= {
                    column["name"]: column["data_type"],
                    f"{column['name']}_source": "varchar",
                }
        rows = [
            {
                "customer_id": key,
                **values,
                **{f"{name}_source": "shop" for name in values},
                "attributes_hash": repr(sorted(values.items())),
            }
            for key, values in customers.items()
        ]
        self.models.table("marts.golden_customers", columns, rows)
        moved = [
            {"customer_id": key, "current_customer_id": heir}
            for key, heir in self.retired.items()
            if key not in customers
        ]
        self.models.table("staging.stg_identity__moved_ids", MOVED_IDS, moved)
        nodes = [{"node_key": f"shop:{key}", "customer_id": key} for key in (*customers, *visitors)]
        self.models.table("staging.stg_identity__crosswalk", CROSSWALK, nodes)
        self.models.build("golden_customers_history")

    def versions(self, customer_id: str, attribute: str = "city") -> list[tuple[Any, ...]]:
        return self.models.query(  # type: ignore[no-any-return]
            f"""
            select version, valid_from::date::varchar, valid_to::date::varchar, is_current, ended_by,
                merged_into, {attribute}
            from marts.golden_customers_history where customer_id = '{customer_id}' order by version
            """
        )


def test_versions_through_a_customers_life(
    own_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = own_models
    company = Company(models, monkeypatch)
    ann, bob, eve = {"city": "Leeds"}, {"city": "Oslo"}, {"city": "Rome"}
    company.run("2026-01-01", {"ann": ann, "bob": bob, "eve": eve})
    company.run("2026-01-02", {"ann": ann, "bob": bob, "eve": eve})
    assert company.versions("ann") == [(1, "2026-01-01", None, True, None, None, "Leeds")]

    # ann moves; bob turns out to be eve; a part of ann becomes dan.
    company.retire(["bob"], heir="eve")
    company.run("2026-02-01", {"ann": {"city": "York"}, "eve": eve, "dan": {"city": "Bath"}})
    assert company.versions("ann") == [
        (1, "2026-01-01", "2026-02-01", False, "changed", None, "Leeds"),
        (2, "2026-02-01", None, True, None, None, "York"),
    ]
    assert company.versions("bob") == [
        (1, "2026-01-01", "2026-02-01", False, "merged", "eve", "Oslo")
    ]
    assert company.versions("eve") == [(1, "2026-01-01", None, True, None, None, "Rome")]
    assert company.versions("dan") == [(1, "2026-02-01", None, True, None, None, "Bath")]

    # The same moment twice, and a clock that goes back: nothing is lost, nothing overlaps.
    company.run("2026-02-01", {"ann": {"city": "Hull"}, "eve": eve, "dan": {"city": "Bath"}})
    company.run("2026-01-15", {"ann": {"city": "Ripon"}, "eve": eve, "dan": {"city": "Bath"}})
    assert company.versions("ann")[1:] == [
        (2, "2026-02-01", "2026-02-01", False, "changed", None, "York"),
        (3, "2026-02-01", "2026-02-01", False, "changed", None, "Hull"),
        (4, "2026-02-01", None, True, None, None, "Ripon"),
    ]

    # Nothing of eve stays, nor of bob, who had become her.
    company.retire(["bob", "eve"], heir=None)
    company.run("2026-03-01", {"ann": {"city": "Ripon"}, "dan": {"city": "Bath"}})
    assert company.versions("eve") == [(1, "2026-01-01", "2026-03-01", False, "erased", None, None)]
    assert company.versions("bob") == [
        (1, "2026-01-01", "2026-02-01", False, "merged", "eve", None)
    ]
    left = models.query("select count(*) from marts.golden_customers_history where city = 'Rome'")
    assert left == [(0,)]

    # A new attribute: one column entry; only who has a value gets a version.
    def add_shoe_size(document: Any) -> None:
        document["models"][0]["columns"].insert(
            1,
            {
                "name": "shoe_size",
                "data_type": "varchar",
                "config": {"meta": {"survivorship": {"rule": "most_recent"}}},
            },
        )

    models.edit_yaml("models/marts/golden_customers.yml", add_shoe_size)
    company.run(
        "2026-04-01", {"ann": {"city": "Ripon", "shoe_size": "38"}, "dan": {"city": "Bath"}}
    )
    assert company.versions("ann", "shoe_size")[-2:] == [
        (4, "2026-02-01", "2026-04-01", False, "changed", None, None),
        (5, "2026-04-01", None, True, None, None, "38"),
    ]
    assert len(company.versions("dan")) == 1

    # Of dan a visitor is left; of ann not even that, and identity does not say what became of the id.
    company.run("2026-05-01", {}, visitors=("dan",))
    assert company.versions("dan") == [(1, "2026-02-01", "2026-05-01", False, "erased", None, None)]
    assert company.versions("ann", "shoe_size")[-1] == (
        *(5, "2026-04-01", None, True, None, None),
        "38",
    )
