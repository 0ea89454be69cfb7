"""Answers become decisions and labels: all of them or none, and never against one another."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from identity import labels, overrides, overrides_file
from identity.overrides import Override
from identity.review import Answer, Question, record, take_back
from identity.review_page import AnswersError, read_answers
from identity.rules import Rules
from identity.sections import RulesError

NOW = datetime(2026, 7, 1, 12)


def answer(left: str, right: str, *, is_match: bool) -> Answer:
    question = Question(left, right, "0.50-0.80", 0.7, False, "", None)
    return Answer(question, is_match=is_match, author="jo")


class Desk:
    """Where answers are written: the two files of a project."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.files = (folder / "overrides.yml", folder / "labels.csv")
        self.rules = rules
        self.path = self.files[0]
        self.path.write_text(overrides.EMPTY)

    def record(self, *answers: Answer) -> list[Override]:
        return record(answers, reason="x", now=NOW, files=self.files, rules=self.rules)

    def decided(self) -> list[tuple[str, str, str]]:
        return [(o.action, o.left, o.right) for o in overrides.read(self.path, self.rules)]


@pytest.fixture
def desk(tmp_path: Path, rules: Rules) -> Desk:
    return Desk(tmp_path, rules)


def test_an_answer_takes_the_place_of_an_earlier_one(desk: Desk) -> None:
    desk.record(answer("s:1", "s:2", is_match=True), answer("s:5", "s:6", is_match=True))
    (later,) = desk.record(answer("s:2", "s:1", is_match=False))
    assert desk.decided() == [("always_link", "s:5", "s:6"), ("never_link", "s:2", "s:1")]
    assert [label.is_match for label in labels.read(desk.files[1])] == [True, False]
    take_back(later, files=desk.files, rules=desk.rules)
    assert desk.decided() == [("always_link", "s:5", "s:6")]
    assert desk.path.read_text().startswith(overrides.EMPTY.split("version")[0])


def test_an_answer_that_cannot_be_written_keeps_the_earlier_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.record(answer("s:1", "s:2", is_match=True))
    before = desk.path.read_text()
    monkeypatch.setattr(overrides_file, "_with", lambda text, _: text + "\nother: {\n")
    with pytest.raises(RulesError, match="cannot be put at its end"):
        desk.record(answer("s:1", "s:2", is_match=False))
    assert desk.path.read_text() == before


def test_what_was_written_by_hand_is_taken_out_by_hand(desk: Desk) -> None:
    entry = "{action: always_link, left: s:1, right: s:2, author: jo, reason: x, created_at: 2026-07-01}"
    desk.path.write_text(f"overrides:\n  - {entry}\n")
    before = desk.path.read_text()
    with pytest.raises(RulesError, match=r"overrides\[1\]` says otherwise; take it out by hand"):
        desk.record(answer("s:2", "s:1", is_match=False))
    assert desk.path.read_text() == before
    desk.record(answer("s:2", "s:1", is_match=True))  # says the same: it stays as it is
    assert desk.path.read_text() == before


def test_answers_that_contradict_through_a_third_record_are_refused_whole(desk: Desk) -> None:
    yes = [answer("s:1", "s:2", is_match=True), answer("s:2", "s:3", is_match=True)]
    no = answer("s:1", "s:3", is_match=False)
    with pytest.raises(RulesError, match=r"the answer about s:1 and s:3 \(never_link\) contrad"):
        desk.record(*yes, no)
    assert desk.decided() == [] and not desk.files[1].exists()
    desk.record(*yes)
    before = desk.path.read_text()
    with pytest.raises(RulesError, match=r"contradicts .*overrides\[1\].*overrides\[2\]"):
        desk.record(no)
    assert desk.path.read_text() == before
    assert len(labels.read(desk.files[1])) == 2


def test_labels_that_cannot_be_read_are_found_before_a_decision_is_written(desk: Desk) -> None:
    desk.files[1].write_text("left_key,right\n")
    with pytest.raises(labels.LabelsError):
        desk.record(answer("s:1", "s:2", is_match=True))
    assert desk.decided() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"was_together": "false"}, "answer 1: was_together is no true or false"),
        ({"left_key": "5"}, "answer 1 names no contact key"),
        ({"left_key": "s:2"}, "answer 1 is about one record"),
        ({"answer": "maybe"}, "answer 1 is 'maybe'"),
    ],
)
def test_a_saved_answer_is_checked(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    right = {"left_key": "s:1", "right_key": "s:2", "stratum": "held", "probability": 0.7}
    right |= {"was_together": False, "answer": "yes"}
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"author": "jo", "answers": [right]}))
    (found,) = read_answers(path)
    assert found.is_match and found.author == "jo" and not found.question.was_together
    path.write_text(json.dumps({"answers": [right | wrong]}))
    with pytest.raises(AnswersError) as error:
        read_answers(path)
    assert said in str(error.value)
