"""Pairs are found and scored by SQL of our own: the same pairs, and the same weights, as Splink's."""

from __future__ import annotations

from datetime import datetime

import pytest

from identity import probabilistic
from identity.resolve import FULL, resolve


def test_splink_finds_the_same_pairs_and_gives_them_the_same_weights(
    part_of_sample, monkeypatch
) -> None:
    found, asked = {}, []

    def keep(side: str):
        original = probabilistic._keep_edges

        def keep_edges(work, rules, trained, table):
            original(work, rules, trained, table)
            ends = "l.entity_key, r.entity_key, match_weight"
            query = (
                f"select {ends} from {table} join profiles as l on l.node_key = node_key_l "
                "join profiles as r on r.node_key = node_key_r order by all"
            )
            found[side] = (
                work.execute(query).fetchall(),
                work.execute("from splink_edges order by all").fetchall(),
            )

        return keep_edges

    with monkeypatch.context() as patch:
        patch.setattr(probabilistic, "_keep_edges", keep("ours"))
        part_of_sample.resolve()
    splink = probabilistic._predict
    with monkeypatch.context() as patch:
        patch.setattr(probabilistic, "can_score", lambda rules: False)
        patch.setattr(probabilistic, "_predict", lambda *given: asked.append(1) or splink(*given))
        patch.setattr(probabilistic, "_keep_edges", keep("splink"))
        resolve(
            part_of_sample.con,
            part_of_sample.rules,
            run_id="again",
            now=datetime(2026, 7, 2),
            mode=FULL,
        )
    assert asked == [1]
    (ours, our_edges), (theirs, their_edges) = found["ours"], found["splink"]
    assert len(ours) > 100
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[2] == pytest.approx(other[2], abs=1e-6)
    assert our_edges == their_edges
