# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""Daily ad spend as two platforms export it: other columns, another order, other words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from seeds.catalogue import CURRENCY, money
from seeds.exports import csv_text
from seeds.people import AS_OF, START

SEARCH = (
    "Day|Customer ID|Campaign ID|Campaign|Campaign type|Ad group ID|Ad ID|Country/Territory|"
    "Final URL suffix|Currency code|Impr.|Clicks|Cost|Conversions|Conv. value"
).split("|")
SOCIAL = (
    "date_start,date_stop,account_id,campaign_id,campaign_name,objective,adset_id,ad_id,creative_id,"
    "publisher_platform,platform_position,country,url_tags,impressions,inline_link_clicks,spend,"
    "purchases,purchase_value,account_currency"
).split(",")
SEARCH_ACCOUNT, SOCIAL_ACCOUNT = "412-555-0137", "act_900137"


@dataclass(frozen=True)
class Campaign:
    """One campaign; each ad is (group id, ad id) and runs once in every country and place."""

    campaign_id: str
    name: str
    utm: str
    objective: str
    first: date
    last: date
    countries: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    ads: tuple[tuple[str, str], ...]
    daily_impressions: int
    click_share: float
    click_cents: int


_FROM, _TO = START.date(), (AS_OF - timedelta(days=1)).date()
ON_SEARCH = (
    Campaign(
        "20110001", "Brand", "brand", "Search", _FROM, _TO, ("US", "GB", "DE"), (("", ""),),
        (("30110001", "40110001"),), 420, 0.11, 38,
    ),
    Campaign(
        "20110002", "Coffee generic, café & Kaffee", "coffee-generic", "Search", _FROM, _TO, ("US",),
        (("", ""),), (("30110002", "40110002"), ("30110003", "40110003")), 900, 0.035, 92,
    ),
)  # fmt: skip
ON_SOCIAL = (
    Campaign(
        "120210001", "Spring home 🌿", "spring-home", "OUTCOME_SALES", date(2026, 2, 1), _TO,
        ("US", "GB"), (("facebook", "feed"), ("instagram", "story")),
        (("230210001", "340210001"), ("230210001", "340210002")), 1500, 0.012, 61,
    ),
    Campaign(
        "120210002", "Cart reminder", "cart-reminder", "OUTCOME_SALES", _FROM, _TO, ("US",),
        (("facebook", "feed"),), (("230210002", "340210003"),), 260, 0.03, 45,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one ad brought on one day in one country and place; money in cents."""

    day: date
    campaign: Campaign
    group_id: str
    ad_id: str
    country: str
    place: tuple[str, str]
    impressions: int
    clicks: int
    spend: int
    conversions: float
    value: int


def results(rng: Random, campaign: Campaign, factor: float) -> Iterator[Result]:
    """Day by day: more at weekends and before Christmas; `factor` is the size of the company."""
    for n in range((campaign.last - campaign.first).days + 1):
        day = campaign.first + timedelta(days=n)
        season = 1 + 0.2 * (day.weekday() >= 5) + 0.6 * (day.month in (11, 12))
        for country in campaign.countries:
            for place in campaign.places:
                for group_id, ad_id in campaign.ads:
                    seen = campaign.daily_impressions * season * factor * rng.uniform(0.6, 1.4)
                    impressions = max(math.floor(seen), 1)
                    clicks = min(
                        round(impressions * campaign.click_share * rng.uniform(0.5, 1.5)),
                        impressions,
                    )
                    # claimed in thirds, as data-driven models do
                    conversions = sum(rng.random() < 0.02 for _ in range(min(clicks, 60))) / 3
                    yield Result(
                        day, campaign, group_id, ad_id, country, place, impressions, clicks,
                        clicks * rng.randrange(campaign.click_cents // 2, campaign.click_cents * 2),
                        round(conversions, 2), round(conversions * rng.randrange(2000, 9000)),
                    )  # fmt: skip


def search(rng: Random, factor: float) -> bytes:
    """The search platform's report; it ends with a line of totals, which is no day."""
    found = [r for campaign in ON_SEARCH for r in results(rng, campaign, factor)]
    found.sort(key=lambda r: (r.day, r.campaign.campaign_id, r.ad_id, r.country))
    rows = [
        (r.day, SEARCH_ACCOUNT, r.campaign.campaign_id, r.campaign.name, r.campaign.objective,
         r.group_id, r.ad_id, r.country, f"utm_campaign={r.campaign.utm}", CURRENCY[r.country],
         r.impressions, r.clicks, money(r.spend), r.conversions, money(r.value))
        for r in found
    ]  # fmt: skip
    shown, clicked = sum(r.impressions for r in found), sum(r.clicks for r in found)
    spent = money(sum(r.spend for r in found))
    totals = ("Total: account", *("--",) * 9, shown, clicked, spent, "--", "--")
    return csv_text(SEARCH, [*rows, totals]).encode()


def social(rng: Random, factor: float) -> bytes:
    found = [r for campaign in ON_SOCIAL for r in results(rng, campaign, factor)]
    found.sort(key=lambda r: (r.day, r.ad_id, r.country, r.place))
    rows = [
        (r.day, r.day, SOCIAL_ACCOUNT, r.campaign.campaign_id, r.campaign.name,
         r.campaign.objective, r.group_id, r.ad_id, f"7{r.ad_id[1:]}", *r.place, r.country,
         f"utm_source={r.place[0]}&utm_medium=paid_social&utm_campaign={r.campaign.utm}",
         r.impressions, r.clicks, money(r.spend), r.conversions, money(r.value), "USD")
        for r in found
    ]  # fmt: skip
    return csv_text(SOCIAL, rows).encode()
