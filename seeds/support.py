# ruff: noqa: RUF001 - other scripts are what this is about
"""The help desk's export of tickets, each with its requester inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from seeds import noise
from seeds.accounts import Account
from seeds.people import AS_OF, moment
from seeds.shop import iso

# category, subject, what people write
SUBJECTS = (
    ("delivery", "Where is my parcel?", "It was due on Tuesday 😕"),
    ("delivery", "Colis abîmé", "La boîte est arrivée écrasée, merci de m'aider 🙏"),
    ("returns", "Rücksendung", "Die Größe passt leider nicht, ich möchte sie zurückschicken."),
    ("returns", "Refund", "I sent the lamp back two weeks ago."),
    ("product", "Grinder jams", "It jams on fine settings. Any tip? ☕"),
    ("product", "Ερώτηση για τον καφέ", "Είναι κατάλληλος για ελληνικό καφέ;"),
    ("account", "Change of name", "I have married 💍 – please change my name."),
    ("account", "Не могу войти", "Пароль не подходит."),
    ("praise", "Thank you! ❤️", "The mugs are lovely, どうもありがとう!"),
)


def tickets(rng: Random, requesters: Sequence[Account]) -> bytes:
    """One JSON document with the tickets below `tickets`, oldest first."""
    found = []
    for requester in requesters:
        for n in range(rng.choices((1, 2, 3), (82, 14, 4))[0]):
            at = requester.created if n == 0 else moment(rng, requester.created, AS_OF)
            found.append((at, requester.account_id, n, requester))
    rows = [_ticket(rng, number, at, who) for number, (at, _, _, who) in enumerate(sorted(
        found, key=lambda f: f[:3]), start=88_001)]  # fmt: skip
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return f'{{"count":{len(rows)},"next_page":null,"tickets":[\n{lines}\n]}}\n'.encode()


def _ticket(rng: Random, number: int, at: datetime, requester: Account) -> dict[str, object]:
    category, subject, text = rng.choice(SUBJECTS)
    solved = at + timedelta(minutes=rng.randrange(20, 9_000))
    is_solved = solved < AS_OF and rng.random() < 0.93
    person = requester.person
    phone = None
    if person.mobile and rng.random() < 0.3:
        phone = noise.phone(rng, person.mobile)
    rating = rng.choices((1, 2, 3, 4, 5), (8, 6, 12, 30, 44))[0]
    return {
        "id": number,
        "created_at": iso(at),
        "updated_at": iso(solved if is_solved else at),
        "solved_at": iso(solved) if is_solved else None,
        "status": "solved" if is_solved else rng.choice(("open", "pending")),
        "priority": rng.choice(("low", "normal", "normal", "high", "urgent")),
        "via": {"channel": rng.choice(("email", "email", "web", "chat", "phone"))},
        "subject": subject,
        "description": text,
        "custom_fields": {"category": category},
        "requester": {
            "id": requester.account_id,
            "name": requester.name,
            "email": requester.email,
            "phone": phone,
            "country": person.home.country,
            "created_at": iso(requester.created),
        },
        "satisfaction_rating": {"score": rating} if is_solved and rng.random() < 0.4 else None,
    }
