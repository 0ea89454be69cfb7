"""A rules file that is wrong says where, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from identity.rules import RulesError, default_path, read


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (
            "customer_id: 0.8",
            "custmer_id: 0.8",
            r"thresholds\.custmer_id.*did you mean `customer_id`",
        ),
        ("customer_id: 0.8", "customer_id: 95", r"thresholds\.customer_id.*between 0\.5 and 1"),
        (
            "strength: contact_point",
            "strength: contactpoint",
            r"identifiers\.email\.strength.*did you mean `contact_point`",
        ),
        (
            "shares: loyalty_card",
            "shares: loyality_card",
            r"exact_rules\[3\]\.shares.*did you mean `loyalty_card`",
        ),
        (
            "same: [last_name, birth_date]",
            "same: [lastname, birth_date]",
            r"did you mean `last_name`",
        ),
        ("max_people: 5", "max_people: many", r"max_people.*must be a number"),
        ('earliest: "1900-01-02"', "earliest: soon", r"birth_dates\.earliest.*no date"),
        ("floor: 0.5", "flor: 0.5", r"splink\.flor.*did you mean `floor`"),
        ("gmail_dots: true", 'gmail_dots: "yes"', r"gmail_dots.*true or false"),
        (
            'blocking_rule: "l.email = r.email"',
            'blocking_rule: "l.emial = r.emial"',
            r"settings\.blocking_rules.*\[4\]\.blocking_rule.*`emial`; did you mean `email`",
        ),
        (
            "label_for_charts: exact, m_probability: 0.83",
            "label_for_charts: exact, m_probabilty: 0.83",
            r"comparisons\[2\]\.comparison_levels\[2\]\.m_probabilty.*did you mean `m_probability`",
        ),
        (
            "sex_l is null or sex_r",
            "gender_l is null or gender_r",
            r"comparisons\[6\]\.comparison_levels\[1\]\.sql_condition.*speaks of `gender`",
        ),
        ("link_type: dedupe_only", "linktype: dedupe_only", r"did you mean `link_type`"),
        ("max_people: 5", "max_values: none", r"max_values.*must be a number"),
        ('- "0{6,}', '- "(0{6,}', r"identifiers\.phone\.blocked_patterns"),
        ("thresholds:", "thresholds: [", r"line \d+: not valid YAML"),
    ],
)
def test_errors_name_the_key_and_the_remedy(
    tmp_path: Path, wrong: str, right: str, message: str
) -> None:
    text = default_path().read_text(encoding="utf-8")
    assert wrong in text
    path = tmp_path / "rules.yml"
    path.write_text(text.replace(wrong, right, 1), encoding="utf-8")
    with pytest.raises(RulesError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"nothing\.yml: cannot be read"):
        read(tmp_path / "nothing.yml")


def test_the_hash_follows_the_meaning_not_the_comments(tmp_path: Path) -> None:
    text = default_path().read_text(encoding="utf-8")
    commented, changed = tmp_path / "a.yml", tmp_path / "b.yml"
    commented.write_text("# a comment\n" + text, encoding="utf-8")
    changed.write_text(text.replace("customer_id: 0.8", "customer_id: 0.81", 1), encoding="utf-8")
    original = read(default_path()).config_hash
    assert read(commented).config_hash == original
    assert read(changed).config_hash != original
