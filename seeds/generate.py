"""Writes the sample company: `python -m seeds.generate [--out DIR] [--seed N] [--people N]`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from seeds import consents, contacts, exports, people, shop, stores, web
from seeds.people import AS_OF, START

HERE = Path(__file__).parent
COMPANY = HERE / "company"
SEED = 20260701
MOST_PEOPLE = 12_000


def build(seed: int, count: int) -> dict[str, bytes]:
    """The company's files by path, from chance that depends on `seed` and `count` alone.

    Each part draws from a stream of its own, so that a change in one leaves the others alone.
    """

    def chance(part: str) -> Random:
        return Random(f"{seed}:{part}")

    everybody = people.generate(chance("people"), count)
    records = contacts.generate(chance("contacts"), everybody)
    signups = exports.newsletter_rows(chance("newsletter"), records)
    placed = [
        replace(order, order_id=f"{500_000 + n}")
        for n, order in enumerate(shop.orders(chance("orders"), records), start=1)
    ]
    log, orders = web.events(chance("web"), everybody, records, placed)
    files = {
        "newsletter/signups.csv": exports.newsletter(signups),
        "shop/customers.json": exports.customers(records),
        "shop/orders.json": exports.json_array(shop.order_json(order) for order in orders),
        "web/events.ndjson": ("\n".join(log) + "\n").encode(),
        "crm/contacts.csv": exports.crm(chance("crm"), records),
        "stores/loyalty_cards.csv.gz": exports.loyalty_cards(chance("cards"), records),
        "consents/consents.csv": consents.consents(chance("consents"), records),
        "finance/exchange_rates.csv": exports.exchange_rates(),
        "truth/contacts.csv": exports.truth(records, signups),
    }
    for name, archive in stores.receipts(chance("receipts"), records).items():
        files[f"stores/{name}"] = archive
    files["README.md"] = (HERE / "company_readme.md").read_bytes()
    files["truth/README.md"] = (HERE / "truth_readme.md").read_bytes()
    sources = Counter(record.source for record in records)
    card = {
        "name": "Harbour & Pine",
        "seed": seed,
        "as_of": AS_OF.isoformat(),
        "history_from": START.isoformat(),
        "people": count,
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
    parser.add_argument("--people", type=int, default=5000, help="how many people there are")
    options = parser.parse_args(arguments)
    if not 1 <= options.people <= MOST_PEOPLE:
        parser.error(f"--people must be from 1 to {MOST_PEOPLE}: fictional phone numbers run out")
    files = build(options.seed, options.people)
    write(files, options.out)
    size = sum(map(len, files.values())) / 1e6
    print(f"Wrote {len(files)} files, {size:.1f} MB, to {options.out}")


if __name__ == "__main__":
    main()
