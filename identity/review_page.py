"""Questions as one HTML file: works offline, sends nothing anywhere, and hands the answers back as
a file.

The page's shape is `review_page.html`; answers come back as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from identity.review import Answer, Question

PLACE = "/*QUESTIONS*/"


class AnswersError(ValueError):
    """A file of answers that cannot be used; the message names it and what is wrong."""


def build(questions: Sequence[Question], made_at: str) -> str:
    """Return the page. It holds personal data of the pairs: keep it where such data may be."""
    shape = Path(__file__).with_name("review_page.html").read_text(encoding="utf-8")
    content = {"made_at": made_at, "questions": [asdict(question) for question in questions]}
    # a name may be </script>
    data = json.dumps(content, default=str, ensure_ascii=False).replace("<", "\\u003c")
    return shape.replace(PLACE, data)


def read_answers(path: Path) -> list[Answer]:
    """Read what the page handed back.

    Raises AnswersError, naming the file, the answer and what is right.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise AnswersError(
            f"{path}: cannot be read as JSON; export it from the page again"
        ) from error
    answers = content.get("answers") if isinstance(content, dict) else None
    if not isinstance(answers, list):
        raise AnswersError(f"{path}: has no list `answers`; export it from the page again")
    author = str(content.get("author") or "").strip()
    return [
        _answer(answer, author, f"{path}: answer {number}")
        for number, answer in enumerate(answers, start=1)
    ]


def _answer(answer: Any, author: str, place: str) -> Answer:
    try:
        question = Question(
            left_key=_key(answer["left_key"], place),
            right_key=_key(answer["right_key"], place),
            stratum=str(answer["stratum"]),
            probability=float(answer["probability"]),
            was_together=answer["was_together"],
            why="",
            comparison=None,
        )
        said = answer["answer"]
    except AnswersError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise AnswersError(f"{place} is not complete ({error})") from error
    # the text "false" counts as true: guessing would turn a measurement round
    if not isinstance(question.was_together, bool):
        raise AnswersError(f"{place}: was_together is no true or false; export it again")
    if question.left_key == question.right_key:
        raise AnswersError(f"{place} is about one record; a decision is about two")
    if said not in ("yes", "no"):
        raise AnswersError(f"{place} is {said!r}; write yes or no")
    return Answer(question, is_match=said == "yes", author=author)


def _key(value: Any, place: str) -> str:
    """A contact key; anything else would make the overrides file invalid."""
    if not isinstance(value, str) or ":" not in value or value.startswith("anon:"):
        raise AnswersError(f"{place} names no contact key (source:id); export it again")
    return value
