"""`mainstem identity review`: the pairs that only people can decide, in the terminal or on a page."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from identity import review as reviewing
from identity import rules as rules_file
from identity.overrides import Override
from identity.review import Answer, Question
from identity.sections import RulesError
from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.warehouse import attach_published

STRATA = [name for _, name in reviewing.STRATA] + [reviewing.TOP, reviewing.HELD]


@click.command()
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many pairs."
)
@click.option("--stratum", type=click.Choice(STRATA), help="Only pairs of this stratum.")
@click.option("--author", help="Whose answers these are. [default: who is logged in]")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the questions as a page to this file instead of asking here.")  # fmt: skip
@click.option("--answers", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the answers that the page saved.")  # fmt: skip
def review(
    limit: int, stratum: str | None, author: str | None, page: Path | None, answers: Path | None
) -> None:
    """Decide pairs side by side: one person, or two?

    Pairs near the thresholds, pairs that the firewall held back, and a few of every certainty, so that
    the answers also measure the engine (`mainstem identity evaluate`). Answers go into
    identity/overrides.yml, which wins over all evidence from the next run on, and into
    identity/labels.csv.

    \b
    mainstem identity review                       # here: y, n, s(kip), u(ndo), q(uit)
    mainstem identity review --page review.html    # a file that works offline; it holds personal data
    mainstem identity review --answers answers.json
    """
    home = find_home()
    try:
        rules = rules_file.read(home.rules)
        if answers is not None:
            _take(home, answers, author, rules)
            return
        with attach_published(home.published) as con:
            asked = reviewing.questions(
                con, rules, limit=limit, answered=_answered(home), only=stratum
            )
        if page is not None:
            _write_page(page, asked)
        else:
            _ask(home, asked, author or getpass.getuser(), rules)
    except (RulesError, ValueError) as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _answered(home: Home) -> list[tuple[str, str]]:
    from identity import labels

    known = labels.read(home.labels) if home.labels.exists() else []
    return [(label.left_key, label.right_key) for label in known]


def _write_page(page: Path, asked: list[Question]) -> None:
    from identity.review_page import build

    content = build(asked, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
    try:
        page.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"{page} cannot be written ({error.strerror}); give --page a file in a folder that is"
            " there and that you may write to"
        ) from error
    print(f"{len(asked)} pairs are in {page}; it holds personal data.")
    print("Next: open it in a browser, answer, save; then mainstem identity review --answers FILE")


def _take(home: Home, answers: Path, author: str | None, rules: rules_file.Rules) -> None:
    from identity.review_page import read_answers

    said_by = getpass.getuser()
    found = [
        replace(answer, author=author or answer.author or said_by)
        for answer in read_answers(answers)
    ]
    _record(home, found, rules)
    _close(len(found))


def _record(home: Home, answers: list[Answer], rules: rules_file.Rules) -> list[Override]:
    return reviewing.record(
        answers,
        reason="review",
        now=datetime.now(UTC).replace(tzinfo=None),
        files=(home.overrides, home.labels),
        rules=rules,
    )


def _ask(home: Home, asked: list[Question], author: str, rules: rules_file.Rules) -> None:
    console = Console(highlight=False)
    given: list[tuple[int, Override | None]] = []
    at = 0
    while at < len(asked):
        _show(console, asked[at], at, len(asked))
        answer = click.prompt(
            "One person? [y]es [n]o [s]kip [u]ndo [q]uit",
            type=click.Choice(["y", "n", "s", "u", "q"]),
            show_choices=False,
        )
        if answer == "q":
            break
        if answer == "u":
            if given:
                at, decision = given.pop()
                if decision is not None:
                    reviewing.take_back(decision, files=(home.overrides, home.labels), rules=rules)
            continue
        decision = None
        if answer in ("y", "n"):
            try:
                (decision,) = _record(
                    home, [Answer(asked[at], is_match=answer == "y", author=author)], rules
                )
            except RulesError as error:
                # nothing was written: the question stays, and so do the answers before it
                print(f"mainstem: {error}", file=sys.stderr)
                continue
        given.append((at, decision))
        at += 1
    if not asked:
        print("There is nothing to decide.")
        return
    _close(sum(decision is not None for _, decision in given))


def _show(console: Console, question: Question, at: int, total: int) -> None:
    from orchestration.cli.explain_pair import waterfall

    console.print()
    console.print(Text(f"{at + 1} of {total}  {question.why}", style="bold"))
    if question.comparison is not None:
        waterfall(console, question.comparison)


def _close(decided: int) -> None:
    print(f"{decided} decided: in identity/overrides.yml and identity/labels.csv.")
    if decided:
        print("Next: mainstem identity plan; mainstem identity evaluate")
