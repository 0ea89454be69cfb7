"""Writes the sample company: `python -m seeds.generate [--out DIR] [--seed N] [--scale F]`.

The sample has 5,000 people, and 80 more whose names are in other scripts; `--scale 10` has ten
times as many of both. The same seed and scale give the same files.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from seeds import (
    accounts,
    ads,
    app,
    calls,
    consents,
    contacts,
    exports,
    machines,
    mailer,
    newcomers,
    people,
    shop,
    stores,
    support,
    web,
)
from seeds.people import AS_OF, START

HERE = Path(__file__).parent
COMPANY = HERE / "company"
SEED = 20260701
PEOPLE = 5000
NEWCOMERS = 0.016  # with names in another script than Latin, for each of the others


def build(seed: int, count: int) -> dict[str, bytes]:
    """The company's files by path, from chance that depends on `seed` and `count` alone.

    Each part draws from a stream of its own, so that a change in one leaves the others alone.
    """

    def chance(part: str) -> Random:
        return Random(f"{seed}:{part}")

    draw = chance("people")
    registry = people.Registry(draw)
    everybody = people.generate(draw, registry, count)
    records = contacts.generate(chance("contacts"), everybody)
    draw = chance("newcomers")
    others = newcomers.generate(draw, registry, round(count * NEWCOMERS), after=count)
    # What has no newcomers in it is what it was before there were any.
    known = records + newcomers.records(draw, others, records)
    signups = exports.newsletter_rows(chance("newsletter"), known)
    placed = [
        replace(order, order_id=f"{500_000 + n}")
        for n, order in enumerate(shop.orders(chance("orders"), records), start=1)
    ]
    log, orders = web.events(chance("web"), everybody, records, placed)
    buyers = accounts.choose(chance("app accounts"), known, 0.045, "app:A20001")
    requesters = accounts.choose(chance("requesters"), known, 0.06, "support:R60001")
    owners = accounts.choose(chance("owners"), known, 0.04, "device:U40001")
    files = {
        "newsletter/signups.csv": exports.newsletter(signups),
        "shop/customers.json": exports.customers(known),
        "shop/orders.json": exports.json_array(shop.order_json(order) for order in orders),
        "shop/products.json": exports.json_array(shop.product_json()),
        "web/events.ndjson": ("\n".join(log) + "\n").encode(),
        "crm/contacts.csv": exports.crm(chance("crm"), known),
        "stores/loyalty_cards.csv.gz": exports.loyalty_cards(chance("cards"), known),
        "consents/consents.csv": consents.consents(chance("consents"), records),
        "finance/exchange_rates.csv": exports.exchange_rates(),
        "app/app.sqlite": app.database(chance("app"), buyers),
        "ads/search_ads.csv": ads.search(chance("search ads"), count / PEOPLE),
        "ads/social_ads.csv": ads.social(chance("social ads"), count / PEOPLE),
        "mailer/webhook.ndjson": mailer.log(chance("mailer"), known, count),
        "calls/calls.csv": calls.calls(chance("calls"), known, round(count * 0.06)),
        "offline/conversions.csv": calls.deals(chance("deals"), known, round(count * 0.03)),
        "support/tickets.json": support.tickets(chance("tickets"), requesters),
        "device/registrations.ndjson": machines.registrations(owners),
        "device/telemetry.ndjson": machines.telemetry(chance("telemetry"), owners),
        "truth/contacts.csv": exports.truth(known, signups, [*buyers, *requesters, *owners]),
    }
    for name, archive in stores.receipts(chance("receipts"), records).items():
        files[f"stores/{name}"] = archive
    files["README.md"] = (HERE / "company_readme.md").read_bytes()
    files["truth/README.md"] = (HERE / "truth_readme.md").read_bytes()
    sources = Counter(record.source for record in known)
    sources.update({"app": len(buyers), "support": len(requesters), "device": len(owners)})
    card = {
        "name": "Harbour & Pine",
        "seed": seed,
        "as_of": AS_OF.isoformat(),
        "history_from": START.isoformat(),
        "people": len(everybody) + len(others),
        "contacts": {**dict(sorted(sources.items())), "newsletter": len(signups)},
        "orders": len(orders),
        "event_lines": len(log),
    }
    files["company.json"] = (json.dumps(card, indent=2) + "\n").encode()
    return files


def write(files: dict[str, bytes], out: Path) -> None:
    """Write each file by renaming, so that nobody reads half of one."""
    for name, content in files.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_bytes(content)
        partial.replace(target)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m seeds.generate", description=__doc__)
    parser.add_argument("--out", type=Path, default=COMPANY, help="folder to write to")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="F", help=f"F times {PEOPLE:,} people"
    )
    options = parser.parse_args(arguments)
    count = round(PEOPLE * options.scale)
    if count < 1:
        parser.error(f"--scale must be at least {1 / PEOPLE}: one person")
    files = build(options.seed, count)
    write(files, options.out)
    size = sum(map(len, files.values())) / 1e6
    print(f"Wrote {len(files)} files, {size:.1f} MB, to {options.out}")


if __name__ == "__main__":
    main()
