"""The section `splink` of the rules: Splink's own settings, checked before Splink sees them, so that a
misspelt level or column is answered with the file, the key and the nearest right word.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from identity.sections import Section, nearest

# What a record is known by when it is scored.
COLUMNS = (
    "first_name",
    "first_names",
    "first_initial",
    "first_code",
    "first_is_name",
    "middle_name",
    "last_name",
    "last_names",
    "last_initial",
    "last_code",
    "suffix",
    "birth_date",
    "birth_text",
    "birth_year",
    "sex",
    "age",
    "street",
    "street_key",
    "house_number",
    "street_name",
    "postcode",
    "city",
    "region",
    "country_code",
    "source_system",
    "emails",
    "email",
    "email_local",
    "email_nick",
    "email_digits",
    "phones",
    "phone",
    "phone_tail",
    "strong_ids",
)
PLACEHOLDER = "{column}"

SETTINGS = (
    "link_type",
    "unique_id_column_name",
    "probability_two_random_records_match",
    "retain_intermediate_calculation_columns",
    "retain_matching_columns",
    "blocking_rules_to_generate_predictions",
    "comparisons",
)
LEVEL = (
    "sql_condition",
    "label_for_charts",
    "is_null_level",
    "m_probability",
    "u_probability",
    "household",
    "fixed",
    "tf_adjustment_column",
    "tf_adjustment_weight",
    "tf_minimum_u_value",
    "disable_tf_exact_match_detection",
)
SIDED = re.compile(r"\b([a-z_][a-z0-9_]*)_[lr]\b")
BLOCKED_ON = re.compile(r"\b[lr]\.\"?(\w+)")


@dataclass(frozen=True)
class SplinkRules:
    """Splink's settings in its own vocabulary, and how much of the data trains it."""

    floor: float
    max_training_records: int
    prior_pairs: float
    max_growth: float
    max_drift: float
    settings_json: str

    def settings(self) -> dict[str, Any]:
        """Return a fresh copy of the settings dictionary."""
        return cast("dict[str, Any]", json.loads(self.settings_json))


def read_splink(section: Section) -> SplinkRules:
    """Read and check the section; raises RulesError."""
    section.only(
        "floor", "max_training_records", "prior_pairs", "max_growth", "max_drift", "settings"
    )
    settings = section.section("settings")
    settings.only(*SETTINGS)
    names = [check_comparison(comparison) for comparison in settings.sections("comparisons")]
    for name in names:
        if names.count(name) > 1:
            raise settings.fail("comparisons", f"has two called `{name}`; rename one")
    for rule in settings.sections("blocking_rules_to_generate_predictions"):
        rule.only("blocking_rule")
        named = BLOCKED_ON.findall(rule.text("blocking_rule"))
        if not named:
            raise rule.fail("blocking_rule", "must compare columns of l and r: l.email = r.email")
        _check_columns(rule, "blocking_rule", named)
    return SplinkRules(
        floor=section.number("floor", 0, 1),
        max_training_records=section.whole("max_training_records", 2),
        prior_pairs=section.number("prior_pairs", 0, float("inf")),
        max_growth=section.number("max_growth", 0, float("inf")),
        max_drift=section.number("max_drift", 0, float("inf")),
        settings_json=json.dumps(section.plain("settings"), sort_keys=True, default=str),
    )


def check_comparison(comparison: Section) -> str:
    """Check one comparison and return its name; raises RulesError."""
    comparison.only("output_column_name", "comparison_levels", "comparison_description")
    levels = comparison.sections("comparison_levels")
    if len(levels) < 3:
        raise comparison.fail("comparison_levels", "needs a null level, a level, and ELSE")
    for level in levels:
        level.only(*LEVEL)
        condition = level.text("sql_condition")
        is_else = condition.strip().upper() == "ELSE"
        if is_else != (level is levels[-1]):
            raise level.fail("sql_condition", "must be ELSE in the last level, and only there")
        _check_columns(level, "sql_condition", SIDED.findall(condition))
        if "tf_adjustment_column" in level:
            _check_columns(level, "tf_adjustment_column", [level.text("tf_adjustment_column")])
        if level.flag("is_null_level"):
            continue
        for key in ("m_probability", "u_probability"):
            level.number(key, 1e-12, 1)
        if "household" in level:
            level.number("household", 1e-12, 1)
    if not any(level.flag("is_null_level") for level in levels):
        raise comparison.fail("comparison_levels", "needs a level with is_null_level: true")
    return comparison.text("output_column_name")


def _check_columns(section: Section, key: str, named: list[str]) -> None:
    for column in named:
        if column not in COLUMNS and column not in (PLACEHOLDER, "column"):
            raise section.fail(key, f"speaks of `{column}`; {nearest(column, COLUMNS)}")
