"""Rules of identity: `rules.yml` read once, checked, and handed on as immutable records."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, cast

from identity.sections import RulesError, Section, read_yaml
from identity.splink_rules import SplinkRules, check_comparison, read_splink

__all__ = ["Rules", "RulesError", "default_path", "read"]

Strength = Literal["strong", "contact_point", "visitor"]
Normalisation = Literal["text", "alphanumeric", "email", "phone"]

STRENGTHS = ("strong", "contact_point", "visitor")
NORMALISATIONS = ("text", "alphanumeric", "email", "phone")
NO_CAP = 2**31 - 1
PERSON_COLUMNS = (
    "first_name",
    "last_name",
    "suffix",
    "birth_date",
    "street",
    "street_key",
    "postcode",
    "city",
    "country_code",
    "email_local",
)


@dataclass(frozen=True)
class IdentifierRule:
    """How one type of identifier is normalised, trusted and capped."""

    identifier_type: str
    strength: Strength
    normalise: Normalisation
    max_people: int
    label: str
    strong_when_verified: bool = False
    gmail_dots: bool = False
    plus_tags: bool = False
    exclusive: bool = False
    scoped_to_source: bool = False
    max_values: int = NO_CAP
    links_visitors: float | None = None
    domain_typos: tuple[tuple[str, str], ...] = ()
    blocked_values: tuple[str, ...] = ()
    blocked_patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExactRule:
    """A pair that shares an identifier (or equal columns) and agrees as `when` says is linked."""

    name: str
    probability: float
    shares: str | None = None
    verified: bool = False
    same: tuple[str, ...] = ()
    when: str = "true"


@dataclass(frozen=True)
class ConflictRule:
    """A pair that agrees as `when` says is never one customer."""

    name: str
    when: str
    unless_shared: tuple[str, ...] = ()
    unless_probability: float | None = None
    while_families_below: float | None = None


@dataclass(frozen=True)
class Thresholds:
    """Smallest probabilities of an edge that holds a customer together."""

    customer_id: float
    strict_customer_id: float


@dataclass(frozen=True)
class Guards:
    """What is held back whatever the evidence says."""

    max_cluster_size: int
    max_birth_date_share: float
    min_birth_date_count: int
    weak_bridge: float
    max_changed_share: float = 1.0


@dataclass(frozen=True)
class Names:
    """What is not a name, and which names are one another's short forms."""

    placeholders: tuple[str, ...]
    titles: tuple[str, ...]
    suffixes: tuple[tuple[str, str], ...]
    nicknames: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BirthDates:
    """Dates that forms put in when nobody did."""

    placeholders: tuple[date, ...]
    earliest: date


@dataclass(frozen=True)
class FoundRules:
    """What is added for the columns that only one file has; `{column}` stands for the column."""

    identifier: IdentifierRule
    identifier_when: str
    identifier_probability: float
    identifier_comparison: str
    sequence_comparison: str
    attribute_comparison: str


@dataclass(frozen=True)
class Rules:
    """Everything that decides who is one customer; `config_hash` changes when any of it does.

    `text` is the file as it was read, comments and all.
    """

    default_country: str
    thresholds: Thresholds
    guards: Guards
    identifiers: tuple[IdentifierRule, ...]
    names: Names
    birth_dates: BirthDates
    exact_rules: tuple[ExactRule, ...]
    conflicts: tuple[ConflictRule, ...]
    found: FoundRules
    splink: SplinkRules
    config_hash: str
    text: str = ""

    def of_strength(self, *strengths: Strength) -> tuple[str, ...]:
        """Return the identifier types with one of these strengths."""
        return tuple(i.identifier_type for i in self.identifiers if i.strength in strengths)


def may_overrule(rule: ConflictRule, families: float | None) -> bool:
    """Whether the model has a say in this conflict, in data with so many pairs of one household for
    each entity (None: nobody knows).
    """
    if rule.unless_probability is None:
        return False
    return rule.while_families_below is None or (
        families is not None and families < rule.while_families_below
    )


def default_path() -> Path:
    """Return the path of the rules file that ships with the package."""
    return Path(__file__).with_name("rules.yml")


def read(path: Path) -> Rules:
    """Read and check a rules file.

    Raises RulesError, naming the file, the key and what would be right, for a missing file, text
    that is not YAML, an unknown or missing key, or a value of the wrong type or outside its range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(f"{path}: cannot be read ({error.strerror})") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Rules:
    """Check rules that stand in `text`; `path` is what errors name. Raises RulesError."""
    content = read_yaml(text, path)
    root = Section(path, "", content)
    root.only(
        "version",
        "default_country",
        "thresholds",
        "guards",
        "identifiers",
        "names",
        "birth_dates",
        "exact_rules",
        "conflicts",
        "found",
        "splink",
    )
    identifiers = tuple(
        _identifier(root.section("identifiers").section(k), k) for k in root.section("identifiers")
    )
    types = tuple(i.identifier_type for i in identifiers)
    exact_rules = tuple(_exact_rule(s, types) for s in root.sections("exact_rules"))
    names = [rule.name for rule in exact_rules]
    for name in names:
        if names.count(name) > 1:
            raise root.fail("exact_rules", f"has two rules called `{name}`; rename one")
    canonical = json.dumps(content, sort_keys=True, default=str)
    return Rules(
        default_country=root.text("default_country").upper(),
        thresholds=_thresholds(root.section("thresholds")),
        guards=_guards(root.section("guards")),
        identifiers=identifiers,
        names=_names(root.section("names")),
        birth_dates=_birth_dates(root.section("birth_dates")),
        exact_rules=exact_rules,
        conflicts=tuple(_conflict(s, types) for s in root.sections("conflicts")),
        found=_found(root.section("found")),
        splink=read_splink(root.section("splink")),
        config_hash=hashlib.sha256(canonical.encode()).hexdigest()[:16],
        text=text,
    )


def _identifier(section: Section, name: str) -> IdentifierRule:
    section.only(
        "strength",
        "normalise",
        "max_people",
        "label",
        "strong_when_verified",
        "gmail_dots",
        "plus_tags",
        "exclusive",
        "scoped_to_source",
        "max_values",
        "links_visitors",
        "domain_typos",
        "blocked_values",
        "blocked_patterns",
    )
    patterns = section.texts("blocked_patterns")
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise section.fail("blocked_patterns", f"has {pattern!r}: {error}") from error
    typos = section.section("domain_typos") if "domain_typos" in section else ()
    return IdentifierRule(
        identifier_type=name,
        strength=cast("Strength", section.choice("strength", STRENGTHS)),
        normalise=cast("Normalisation", section.choice("normalise", NORMALISATIONS)),
        max_people=section.whole("max_people", 1) if "max_people" in section else NO_CAP,
        label=section.text("label", name),
        strong_when_verified=section.flag("strong_when_verified"),
        gmail_dots=section.flag("gmail_dots"),
        plus_tags=section.flag("plus_tags"),
        exclusive=section.flag("exclusive"),
        scoped_to_source=section.flag("scoped_to_source"),
        max_values=section.whole("max_values", 1) if "max_values" in section else NO_CAP,
        links_visitors=section.number("links_visitors", 0.5, 0.999999)
        if "links_visitors" in section
        else None,
        domain_typos=_pairs(typos),
        blocked_values=section.texts("blocked_values"),
        blocked_patterns=patterns,
    )


def _pairs(section: Section | tuple[()]) -> tuple[tuple[str, str], ...]:
    return tuple((key, section.text(key)) for key in section) if section else ()


def _thresholds(section: Section) -> Thresholds:
    section.only("customer_id", "strict_customer_id")
    broad = section.number("customer_id", 0.5, 1)
    return Thresholds(broad, section.number("strict_customer_id", broad, 1))


def _guards(section: Section) -> Guards:
    section.only(
        "max_cluster_size",
        "max_birth_date_share",
        "min_birth_date_count",
        "weak_bridge",
        "max_changed_share",
    )
    return Guards(
        max_cluster_size=section.whole("max_cluster_size", 2),
        max_birth_date_share=section.number("max_birth_date_share", 0, 1),
        min_birth_date_count=section.whole("min_birth_date_count", 1),
        weak_bridge=section.number("weak_bridge", 0, 1),
        max_changed_share=section.number("max_changed_share", 0, 1)
        if "max_changed_share" in section
        else 1.0,
    )


def _names(section: Section) -> Names:
    section.only("placeholders", "titles", "suffixes", "nicknames")
    short_forms = section.section("nicknames")
    return Names(
        placeholders=section.texts("placeholders"),
        titles=section.texts("titles"),
        suffixes=_pairs(section.section("suffixes")),
        nicknames=tuple(
            (short, full) for short in short_forms for full in short_forms.texts(short)
        ),
    )


def _birth_dates(section: Section) -> BirthDates:
    section.only("placeholders", "earliest")
    return BirthDates(section.dates("placeholders"), section.day("earliest"))


def _exact_rule(section: Section, types: tuple[str, ...]) -> ExactRule:
    section.only("name", "probability", "shares", "verified", "same", "when")
    name = section.text("name")
    if ("shares" in section) == ("same" in section):
        raise section.fail(
            "shares", f"or `same` is needed, and only one of them, in the rule `{name}`"
        )
    return ExactRule(
        name=name,
        probability=section.number("probability", 0.5, 0.999999),
        shares=section.choice("shares", types) if "shares" in section else None,
        verified=section.flag("verified"),
        same=section.texts("same", PERSON_COLUMNS),
        when=section.text("when", "true"),
    )


def _conflict(section: Section, types: tuple[str, ...]) -> ConflictRule:
    section.only("name", "when", "unless_shared", "unless_probability", "while_families_below")
    return ConflictRule(
        name=section.text("name"),
        when=section.text("when"),
        unless_shared=section.texts("unless_shared", types),
        unless_probability=section.number("unless_probability", 0.5, 1)
        if "unless_probability" in section
        else None,
        while_families_below=section.number("while_families_below", 0, float("inf"))
        if "while_families_below" in section
        else None,
    )


def _found(section: Section) -> FoundRules:
    comparisons = ("identifier_comparison", "sequence_comparison", "attribute_comparison")
    section.only("identifier", "identifier_rule", *comparisons)
    for name in comparisons:
        check_comparison(section.section(name))
    rule = section.section("identifier_rule")
    rule.only("probability", "when")
    return FoundRules(
        identifier=_identifier(section.section("identifier"), "found"),
        identifier_when=rule.text("when"),
        identifier_probability=rule.number("probability", 0.5, 0.999999),
        identifier_comparison=json.dumps(section.plain("identifier_comparison")),
        sequence_comparison=json.dumps(section.plain("sequence_comparison")),
        attribute_comparison=json.dumps(section.plain("attribute_comparison")),
    )
