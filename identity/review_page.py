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

from identity.review import Question

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


def read_answers(path: Path) -> list[tuple[Question, bool, str]]:
    """Read what the page handed back: (question, is one person, author).

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
    found = []
    for number, answer in enumerate(answers, start=1):
        try:
            question = Question(
                left_key=str(answer["left_key"]),
                right_key=str(answer["right_key"]),
                stratum=str(answer["stratum"]),
                probability=float(answer["probability"]),
                was_together=bool(answer["was_together"]),
                why="",
                comparison=None,
            )
            said = answer["answer"]
        except (KeyError, TypeError, ValueError) as error:
            raise AnswersError(f"{path}: answer {number} is not complete ({error})") from error
        if said not in ("yes", "no"):
            raise AnswersError(f"{path}: answer {number} is {said!r}; write yes or no")
        found.append((question, said == "yes", author))
    return found
