"""What Harbour & Pine sells and where; prices in cents of the customer's own currency."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

CURRENCY = {"US": "USD", "GB": "GBP", "DE": "EUR", "FR": "EUR"}
TAX_PERCENT = {"US": 7, "GB": 20, "DE": 19, "FR": 20}
STORES = {
    "US": ("BOS-01", "PDX-01", "CHI-01"),
    "GB": ("BRS-01", "EDI-01"),
    "DE": ("BER-01", "HAM-01"),
    "FR": ("PAR-01",),
}


@dataclass(frozen=True)
class Product:
    sku: str
    title: str
    category: str
    price: int
    cost: int


@dataclass(frozen=True)
class Line:
    """One line of an order or a receipt; amounts in cents, `net` = quantity * price - share."""

    product: Product
    quantity: int
    net: int


_LIST = """Coffee|House Blend 250 g|1150|Coffee|House Blend 1 kg|3690
Coffee|Lighthouse Espresso|1290|Coffee|Pier Decaf|1250|Coffee|Ethiopia Guji|1590
Coffee|Colombia Huila|1490|Coffee|Kenya Nyeri|1690|Coffee|Winter Blend|1390
Brewing|Pour-Over Dripper|2400|Brewing|Glass Carafe|3200|Brewing|Gooseneck Kettle|7900
Brewing|Burr Grinder|14900|Brewing|French Press|4400|Brewing|Moka Pot|3800
Brewing|Paper Filters|650|Brewing|Espresso Machine|48900|Brewing|Milk Frother|5900
Brewing|Scale|4200|Tableware|Stoneware Mug|1800|Tableware|Espresso Cups, set of 4|3400
Tableware|Dinner Plate|2200|Tableware|Breakfast Bowl|1700|Tableware|Serving Platter|4900
Tableware|Linen Napkins|2800|Tableware|Cutlery, 16 pieces|8900|Home|Pine Candle|2600
Home|Wool Throw|9800|Home|Linen Cushion|4500|Home|Table Lamp|11900
Home|Woven Basket|5200|Home|Wall Clock|6900|Home|Oak Side Table|21900
Home|Lounge Chair|59900|Kitchen|Chopping Board|4600|Kitchen|Chef's Knife|9500
Kitchen|Apron|3900|Kitchen|Tea Towels|1900|Kitchen|Storage Jars|3600
Kitchen|Cast Iron Pan|8400|Gifts|Gift Card|5000"""


def products() -> tuple[Product, ...]:
    """The catalogue; a product's id in the event log is its SKU."""
    fields = _LIST.replace("\n", "|").split("|")
    rows = zip(fields[::3], fields[1::3], fields[2::3], strict=True)
    return tuple(
        Product(f"HP-{n:03d}", title, category, int(price), int(price) * (38 + n % 17) // 100)
        for n, (category, title, price) in enumerate(rows, start=101)
    )


def basket(rng: Random, catalogue: tuple[Product, ...], size: int) -> list[tuple[Product, int]]:
    """`size` different products with quantities; cheap ones sell more often and in threes."""
    chosen: dict[str, tuple[Product, int]] = {}
    while len(chosen) < size:
        product = rng.choice(catalogue)
        if product.price > 9000 and rng.random() < 0.6:
            continue
        quantity = rng.choices((1, 2, 3), (70, 22, 8))[0] if product.price < 5000 else 1
        chosen[product.sku] = (product, quantity)
    return list(chosen.values())


def lines(items: list[tuple[Product, int]], discount: int) -> tuple[Line, ...]:
    """Spread a discount over a basket by value; the last line takes what rounding leaves."""
    gross = sum(product.price * quantity for product, quantity in items)
    result: list[Line] = []
    left = discount
    for n, (product, quantity) in enumerate(items, start=1):
        value = product.price * quantity
        share = left if n == len(items) else discount * value // gross
        left -= share
        result.append(Line(product, quantity, value - share))
    return tuple(result)


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
