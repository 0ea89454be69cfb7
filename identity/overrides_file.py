"""The file overrides.yml, changed by machine with its comments kept: decisions are put at its end,
and taken off again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from identity.overrides import EMPTY, Override, parse, refuse_contradictions
from identity.rules import Rules
from identity.sections import RulesError


def replace(path: Path, decisions: Sequence[Override], rules: Rules) -> None:
    """Put decisions at the end of the file (made if missing), in place of earlier ones about the
    same pairs; all of them in one write, or nothing.

    A decision that is there already stays as it is. Raises RulesError if the file is not valid or
    would not be, if the decisions contradict each other or those that stay, and if an earlier one
    that says otherwise was written by hand.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else EMPTY
    before = parse(text, path, rules)
    new = list({d.override_id: d for d in decisions}.values())
    kept, changed = _without_earlier(text, before, new)
    refuse_contradictions([*kept, *new])
    known = {o.override_id for o in kept}
    new = [d for d in new if d.override_id not in known]
    for decision in new:
        changed = _with(changed, decision)
    if changed != text:
        _check(changed, path, rules, [o.override_id for o in (*kept, *new)])
        _write(path, changed)


def _without_earlier(
    text: str, before: Sequence[Override], new: Sequence[Override]
) -> tuple[list[Override], str]:
    """The decisions that stay beside the new ones, and the text without the others.

    Raises RulesError for one that would have to go and is not written as the machine writes it.
    """
    actions = {frozenset((d.left, d.right)): d.action for d in new}
    kept = []
    for earlier in before:
        action = actions.get(frozenset((earlier.left, earlier.right)), earlier.action)
        if action == earlier.action:
            kept.append(earlier)
            continue
        shorter = text.replace(_block(earlier, text), "", 1)
        if shorter == text:
            raise RulesError(f"{earlier.place} says otherwise; take it out by hand")
        text = shorter
    return kept, text


def _with(text: str, decision: Override) -> str:
    text = re.sub(r"^overrides:[ \t]*(\[\]|null|~)?[ \t]*$", "overrides:", text, flags=re.M)
    if not re.search(r"^overrides:", text, flags=re.M):
        text = text.rstrip("\n") + "\noverrides:\n"
    return text.rstrip("\n") + "\n" + _block(decision, text)


def _check(text: str, path: Path, rules: Rules, expected: list[str]) -> None:
    """Raise RulesError unless `text` has exactly these decisions."""
    try:
        found = [o.override_id for o in parse(text, path, rules)]
    except RulesError as error:
        raise RulesError(
            f"{path}: a decision cannot be put at its end; write `overrides:` last, as a list with"
            " an entry a line"
        ) from error
    if found != expected:
        raise RulesError(f"{path}: a decision cannot be put at its end; write `overrides:` last")


def remove(path: Path, decision: Override, rules: Rules) -> None:
    """Take off a decision that `replace` put there; nothing happens if it is not there any more."""
    text = path.read_text(encoding="utf-8")
    changed = text.replace(_block(decision, text), "", 1)
    if changed != text:
        if not parse(changed, path, rules):
            changed = re.sub(r"^overrides:[ \t]*$", "overrides: []", changed, flags=re.M)
        _write(path, changed)


def _block(decision: Override, text: str) -> str:
    """The decision as lines of the list, indented as those that are there."""
    found = re.search(r"^overrides:.*\n(?:[ \t]*(?:#.*)?\n)*([ \t]*)- ", text, flags=re.M)
    indent = found[1] if found else "  "
    lines = yaml.safe_dump([decision.to_entry()], sort_keys=False, allow_unicode=True, width=1000)
    return "".join(f"{indent}{line}\n" for line in lines.splitlines())


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
