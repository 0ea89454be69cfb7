"""The mail service's log of what became of each newsletter, as its webhook delivers it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from seeds import noise
from seeds.people import AS_OF
from seeds.records import Record
from seeds.tracker import SITE

# id, subject, when it went out, its page
MAILINGS = (
    ("nl-2026-04-09", "The new roast is here ☕", datetime(2026, 4, 9, 9), "/collections/coffee"),
    ("nl-2026-04-23", "Spring for your table 🌷", datetime(2026, 4, 23, 9), "/collections/home"),
    ("nl-2026-05-07", "Für Mütter, pour maman 💐", datetime(2026, 5, 7, 9), "/collections/gifts"),
    ("nl-2026-05-21", "Ελλάδα in a cup", datetime(2026, 5, 21, 9), "/products/hp-105"),
    ("nl-2026-06-04", "Iced coffee weather 🧊", datetime(2026, 6, 4, 9), "/collections/brewing"),
    ("nl-2026-06-18", "Summer sale", datetime(2026, 6, 18, 9), "/collections/home"),
)
SHARE = 0.033  # of the people, per mailing
PREFETCH = ("icloud.com",)  # their programs fetch the pictures of every mail by themselves


class Log:
    """Lines in order of arrival. State: how many events and messages there were."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.lines: list[tuple[datetime, int, str]] = []

    def add(self, mailing: tuple[str, str, datetime, str], message: str, email: str,
            event: str, at: datetime, **more: object) -> None:  # fmt: skip
        if at >= AS_OF:
            return
        line = {
            "sg_event_id": f"ev{self.rng.getrandbits(44):011x}",
            "sg_message_id": message,
            "event": event,
            "email": email,
            "timestamp": int(at.replace(tzinfo=UTC).timestamp()),
            "marketing_campaign_id": mailing[0],
            "marketing_campaign_name": mailing[1],
            **more,
        }
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        self.lines.append((at, len(self.lines), text))


def log(rng: Random, records: Sequence[Record], size: int) -> bytes:
    """Each mailing to some of those who had signed up by then; five events come twice.

    An unsubscribed or bounced address gets no later mailing. A mistyped address bounces.
    """
    found = Log(rng)
    signups = [r for r in records if r.kind == "signup" and "no_name" not in r.traps]
    gone: set[str] = set()
    for mailing in MAILINGS:
        ready = [r for r in signups if r.created < mailing[2] and r.email not in gone]
        for record in rng.sample(ready, min(max(round(size * SHARE), 2), len(ready))):
            if record.email not in gone:
                _deliver(found, mailing, record, gone)
    lines = [line for _, _, line in sorted(found.lines)]
    for n in sorted(rng.sample(range(len(lines)), min(5, len(lines))), reverse=True):
        lines.insert(min(n + rng.randrange(1, 9), len(lines)), lines[n])
    return ("\n".join(lines) + "\n").encode()


def _deliver(
    found: Log, mailing: tuple[str, str, datetime, str], record: Record, gone: set[str]
) -> None:
    rng, email = found.rng, record.email
    message = f"msg{rng.getrandbits(44):011x}"
    at = mailing[2] + timedelta(seconds=rng.randrange(900))
    found.add(mailing, message, email, "processed", at)
    at += timedelta(seconds=rng.randrange(1, 30))
    if "email_typo" in record.traps or rng.random() < 0.008:
        found.add(mailing, message, email, "bounce", at, type="bounce", status="5.1.1")
        gone.add(email)
        return
    found.add(mailing, message, email, "delivered", at)
    if noise.email_key(email).partition("@")[2] in PREFETCH and rng.random() < 0.7:
        soon = at + timedelta(seconds=rng.randrange(1, 9))
        found.add(mailing, message, email, "open", soon, sg_machine_open=True)
    if rng.random() < 0.42:
        at += timedelta(seconds=rng.randrange(60, 200_000))
        found.add(mailing, message, email, "open", at, sg_machine_open=False)
        if rng.random() < 0.22:
            at += timedelta(seconds=rng.randrange(3, 120))
            link = f"{SITE}{mailing[3]}?utm_source=newsletter&utm_medium=email&utm_campaign=weekly"
            found.add(mailing, message, email, "click", at, url=link)
        roll = rng.random()
        if roll < 0.02:
            at += timedelta(seconds=rng.randrange(5, 60))
            found.add(mailing, message, email, "unsubscribe" if roll < 0.017 else "spamreport", at)
            gone.add(email)
