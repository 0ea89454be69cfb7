"""Harbour One, a coffee machine with a network: who registered one, and what each reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random

from seeds import tracker
from seeds.accounts import Account
from seeds.people import AS_OF, START, moment
from seeds.shop import iso

# event, how often
EVENTS = (("brew_completed", 78), ("beans_low", 9), ("descale_needed", 5), ("descaled", 4),
          ("error", 4))  # fmt: skip
PROGRAMS = ("espresso", "lungo", "americano", "hot water")


def _lines(rows: Iterable[Mapping[str, object]]) -> list[str]:
    return [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]


def serial(n: int) -> str:
    return f"H1-26-{n:06d}"


def registrations(owners: Sequence[Account]) -> bytes:
    """One line a registered machine."""
    rows: list[dict[str, object]] = [
        {
            "owner_id": owner.account_id,
            "serial": serial(n),
            "model": "Harbour One",
            "registered_at": iso(owner.created),
            "owner": {"name": owner.name, "email": owner.email},
            "country": owner.person.home.country,
            "device_name": ("Kitchen ☕", "Büro", "Café", "台所")[n % 4],
        }
        for n, owner in enumerate(owners, start=1)
    ]
    return "".join(f"{line}\n" for line in _lines(rows)).encode()


def telemetry(rng: Random, owners: Sequence[Account]) -> bytes:
    """Reports in order of time, a tenth from machines that nobody registered; six come twice and
    one is cut short."""
    machines: list[tuple[str, Account | None]] = [
        (serial(n), owner) for n, owner in enumerate(owners, start=1)
    ]
    machines += [(serial(900_000 + n), None) for n in range(len(owners) // 10)]
    found = []
    for number, owner in machines:
        start = owner.created if owner else START
        owner_id = owner.account_id if owner else None
        reports = rng.randrange(3, 16)
        found += [(moment(rng, start, AS_OF), number, owner_id) for _ in range(reports)]
    found.sort(key=lambda f: (f[0], f[1]))
    rows = []
    for n, (at, number, owner_id) in enumerate(found, start=1):
        event = rng.choices([name for name, _ in EVENTS], [weight for _, weight in EVENTS])[0]
        data: dict[str, object] = {}
        if event == "brew_completed":
            data = {"program": rng.choice(PROGRAMS), "water_ml": rng.choice((40, 110, 180))}
            data["temperature_c"] = round(rng.uniform(88, 95), 1)
        elif event == "error":
            data = {"code": rng.choice(("E02", "E07", "E11"))}
        exact = min(at + timedelta(milliseconds=rng.randrange(1000)), AS_OF - timedelta(seconds=1))
        rows.append({"event_id": f"t{n:06d}-{rng.getrandbits(20):05x}", "serial": number,
                     "owner_id": owner_id, "event": event, "ts": tracker.iso(exact),
                     "firmware": rng.choice(("1.4.2", "1.5.0")), "data": data})  # fmt: skip
    lines = _lines(rows)
    for n in sorted(rng.sample(range(len(lines)), min(6, len(lines) // 8)), reverse=True):
        lines.insert(n + 1, lines[n])
    if len(lines) > 20:
        lines.insert(len(lines) // 2, lines[len(lines) // 2][:70])
    return "".join(f"{line}\n" for line in lines).encode()
