"""The one page of the sample's email tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SHOWN = 25
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 14%, Canvas); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p, small { color: color-mix(in srgb, CanvasText 65%, Canvas); margin: .25rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; } th { font-weight: 600; font-size: .85rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(tag: str, value: Any) -> str:
        kind = ' class="n"' if isinstance(value, int) and not isinstance(value, bool) else ""
        return f"<{tag}{kind}>{escape('' if value is None else str(value))}</{tag}>"

    numeric = [isinstance(value, int) for value in rows[0]] if rows else [False] * len(header)
    head = "".join(
        f'<th class="n">{escape(name)}</th>' if right else f"<th>{escape(name)}</th>"
        for name, right in zip(header, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(cell('td', v) for v in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def render(
    requests: Sequence[tuple[Any, ...]], members: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> str:
    """HTML of the newest requests and the members of each sync, every value escaped.

    `requests`: received_at, sync, upserts, removals, errors, repeats, idempotency key.
    """
    parts = ["<h2>Newest requests</h2>"]
    if requests:
        header = ("received (UTC)", "sync", "upserts", "removals", "errors", "repeats", "key")
        rows = [(at[:19].replace("T", " "), *rest) for at, *rest in requests]
        parts.append(_table(header, rows))
    else:
        parts.append("<p>None yet. <code>make run</code> sends the first.</p>")
    for sync, people in members.items():
        parts.append(f"<h2>{escape(sync)}: {len(people):,} members</h2>")
        shown = list(people.items())[:SHOWN]
        names = sorted({name for _, fields in shown for name in fields})
        rows = [(key, *(fields.get(name) for name in names)) for key, fields in shown]
        parts.append(_table(("key", *names), rows))
        if len(people) > SHOWN:
            parts.append("<p>The first 25; all of them are in members.json.</p>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Email tool</title><style>{_STYLE}</style></head><body>"
        "<h1>Email tool</h1><p>Harbour &amp; Pine's, played by a small local receiver: "
        "what Mainstem sent it.</p>" + "\n".join(parts) + "</body></html>\n"
    )
