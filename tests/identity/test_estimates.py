"""What labels say of the engine stays the same once the answers are decisions."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from identity import labels, overrides
from identity.configs import Config, read
from identity.estimates import evaluate_labels, wilson
from identity.labels import Label
from identity.review import HELD, Answer, populations, questions, record
from identity.rules import default_path
from identity.steering import apply


def hold_pairs(w: Any, count: int) -> None:
    """Of three records each, the second has evidence for the first and for the third, who differ."""
    names = ("Ada", "Bea", "Cleo", "Dora", "Elsa", "Fay", "Gwen", "Hope")
    for n, name in zip(range(count), names, strict=False):
        known = {"first_name": name, "last_name": f"Stone{name.lower()}"}
        mail = f"{name.lower()}.stone{n}@lee.org"
        w.contact(f"a:{n}", **known, email=mail, birth_date=date(1960 + n, 3, 5))
        w.contact(f"b:{n}", **known, email=mail, phone=f"+1 617 555 01{n:02}")
        w.contact(f"c:{n}", **known, phone=f"+1 617 555 01{n:02}", birth_date=date(1981 + n, 9, 17))


def test_decided_pairs_count_in_the_stratum_they_were_drawn_from(
    warehouse: Any, tmp_path: Path
) -> None:
    w = warehouse
    hold_pairs(w, 6)
    w.steer()
    drawn_from = populations(w.con)
    assert drawn_from[HELD] == 6
    asked = questions(w.con, w.rules, limit=100)
    held = [question for question in asked if question.stratum == HELD][:2]
    others = [question for question in asked if question.was_together]
    chosen = [*held, *others[:3]]
    files = (tmp_path / "overrides.yml", tmp_path / "labels.csv")
    files[0].write_text(overrides.EMPTY)
    answers = [Answer(question, is_match=question in others, author="jo") for question in chosen]
    record(answers, reason="x", now=datetime(2026, 7, 1), files=files, rules=w.rules)
    given = labels.read(files[1])
    before = evaluate_labels(w.con, given)
    assert before.is_weighted

    config: Config = read(default_path(), files[0])
    apply(w.con, config, run_id="apply", now=datetime(2026, 7, 2))
    assert populations(w.con).get(HELD, 0) < 6  # what is decided is held back no more
    after = evaluate_labels(w.con, given)
    assert after == before
    assert {s.name: s.pairs for s in after.strata} == drawn_from


def test_a_label_outlives_the_evidence_of_its_pair(warehouse: Any) -> None:
    w = warehouse
    hold_pairs(w, 1)
    w.steer()
    gone = Label("gone:1", "gone:2", True, HELD, 0.9, False)
    stratum = next(s for s in evaluate_labels(w.con, [gone]).strata if s.name == HELD)
    assert (stratum.pairs, stratum.labels) == (2, 1)


def test_a_stratum_that_nobody_knows_weighs_nothing(warehouse: Any) -> None:
    w = warehouse
    hold_pairs(w, 1)
    w.steer()
    assert not evaluate_labels(w.con, [Label("a:0", "b:0", True, "mine", 0.9, True)]).is_weighted


def test_an_interval_rests_on_the_labels_that_the_weights_leave(warehouse: Any) -> None:
    w = warehouse
    hold_pairs(w, 6)
    w.steer()
    asked = questions(w.con, w.rules, limit=100)
    held = [q for q in asked if q.stratum == HELD][:2]
    sure = [q for q in asked if q.stratum != HELD]
    given = [
        Label(q.left_key, q.right_key, q not in held, q.stratum, q.probability, q.was_together)
        for q in (*held, *sure)
    ]
    recall = evaluate_labels(w.con, given).recall
    matched = [q for q in sure if q.was_together]
    assert recall.labels == pytest.approx(len(sure), abs=0.05)  # all of their stratum: weight 1
    assert recall.value == pytest.approx(len(matched) / len(sure))
    assert (recall.low, recall.high) == wilson(len(matched) / len(sure), len(sure))
