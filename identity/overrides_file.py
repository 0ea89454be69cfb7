"""The file overrides.yml, changed by machine with its comments kept: decisions are put at its end,
and taken off again.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from identity.overrides import EMPTY, Override, parse, read
from identity.rules import Rules
from identity.sections import RulesError


def append(path: Path, decision: Override, rules: Rules) -> None:
    """Put a decision at the end of the file (made if missing); it appears by rename.

    A decision that is there already stays as it is. Raises RulesError if the file is not valid, or
    would not be.
    """
    before = read(path, rules)
    if decision.override_id in {o.override_id for o in before}:
        return
    text = path.read_text(encoding="utf-8") if path.exists() else EMPTY
    text = re.sub(r"^overrides:[ \t]*(\[\]|null|~)?[ \t]*$", "overrides:", text, flags=re.M)
    if not re.search(r"^overrides:", text, flags=re.M):
        text = text.rstrip("\n") + "\noverrides:\n"
    changed = text.rstrip("\n") + "\n" + _block(decision, text)
    try:
        after = parse(changed, path, rules)
    except RulesError as error:
        raise RulesError(
            f"{path}: a decision cannot be put at its end; write `overrides:` last, as a list with"
            " an entry a line"
        ) from error
    if len(after) != len(before) + 1:
        raise RulesError(f"{path}: a decision cannot be put at its end; write `overrides:` last")
    _write(path, changed)


def remove(path: Path, decision: Override, rules: Rules) -> None:
    """Take off a decision that `append` put there; nothing happens if it is not there any more."""
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
