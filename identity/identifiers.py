"""Identifiers as matching sees them: `ids` and `nodes` in the working database.

ids(node_key, identifier_type, value, given, is_verified, first_seen_at, last_seen_at, is_contact):
a row per node, type and normalised value; `given` is one of its spellings. nodes(node_key,
is_contact): every contact and visitor. normal_forms: the same before grouping, with the values that
consents name (node_key is null).
"""

from __future__ import annotations

import duckdb

from identity.phones import read_phones
from identity.quoting import text
from identity.rules import IdentifierRule, Rules


def build_ids(
    work: duckdb.DuckDBPyConnection, source: str, rules: Rules, whole: str | None = None
) -> None:
    """Create `ids` and `nodes` from `<source>.canonical.identifiers`.

    Identifiers of deleted contacts and of types that the rules do not name are left out; a node
    that is no contact is a visitor. `whole` is the database with all contacts, if `source` has only
    some: consents are read in the countries of all.
    """
    work.execute(
        f"""
        create or replace table given_ids as
        select
            i.node_key, i.identifier_type, i.identifier_value as given,
            coalesce(i.is_verified, false) as is_verified, i.first_seen_at, i.last_seen_at,
            coalesce(c.country_code, $1) as country_code, c.contact_key is not null as is_contact
        from {source}.canonical.identifiers as i
        left join {source}.canonical.contacts as c on c.contact_key = i.node_key
        where not coalesce(c.is_deleted, false)
        union all
        {_consent_values(source, whole or source, rules)}
        """,
        [rules.default_country],
    )
    _load_phones(work, rules)
    selects = [
        f"""
        select node_key, identifier_type, {_normal_form(rule)} as value, given, is_verified,
            first_seen_at, last_seen_at, is_contact
        from {_given(rule)}
        """
        for rule in rules.identifiers
    ]
    work.execute(f"create or replace table normal_forms as {' union all '.join(selects)}")
    work.execute(
        """
        create or replace table ids as
        select
            node_key, identifier_type, value,
            min(given) as given,
            bool_or(is_verified) as is_verified,
            min(first_seen_at) as first_seen_at,
            max(last_seen_at) as last_seen_at,
            bool_or(is_contact) as is_contact
        from normal_forms
        where value is not null and node_key is not null
        group by node_key, identifier_type, value
        """
    )
    work.execute(
        f"""
        create or replace table nodes as
        select node_key, true as is_contact from people
        union
        select i.node_key, false
        from {source}.canonical.identifiers as i
        anti join {source}.canonical.contacts as c on c.contact_key = i.node_key
        order by node_key
        """
    )


def _consent_values(source: str, whole: str, rules: Rules) -> str:
    """What consents name, as rows of given_ids that belong to no node (a query).

    A phone number without a country is read in every country that contacts live in: a jurisdiction
    such as GDPR or CA names none. `normalised_values` keeps the readings that somebody has.
    """
    phones = ", ".join(text(i.identifier_type) for i in rules.identifiers if i.normalise == "phone")
    return f"""
        select distinct
            null, v.identifier_type, trim(v.identifier_value), false, null::timestamp, null::timestamp,
            c.country_code, false
        from {source}.canonical.consents as v
        cross join (
            select distinct country_code from {whole}.canonical.contacts where country_code is not null
            union
            select {text(rules.default_country)}
        ) as c
        where v.identifier_type in ({phones or "''"}) or c.country_code = {text(rules.default_country)}
    """


def _normal_form(rule: IdentifierRule) -> str:
    if rule.normalise == "alphanumeric":
        return "nullif(regexp_replace(upper(given), '[^A-Z0-9]', '', 'g'), '')"
    if rule.normalise == "phone":
        return "e164"
    if rule.normalise == "text":
        return "nullif(trim(given), '')"
    domain = "domain"
    if rule.domain_typos:
        typos = " ".join(
            f"when {text(wrong)} then {text(right)}" for wrong, right in rule.domain_typos
        )
        domain = f"(case domain {typos} else domain end)"
    local = "split_part(mailbox, '+', 1)" if rule.plus_tags else "mailbox"
    if rule.gmail_dots:
        local = (
            f"(case when {domain} = 'gmail.com' then replace({local}, '.', '') else {local} end)"
        )
    return f"(case when is_address and {local} <> '' then {local} || '@' || {domain} end)"


def _given(rule: IdentifierRule) -> str:
    """The rows of given_ids, with the parts that the normal form is made of."""
    rows = f"(select * from given_ids where identifier_type = {text(rule.identifier_type)})"
    if rule.normalise == "phone":
        return f"{rows} left join given_phones using (given, country_code)"
    if rule.normalise != "email":
        return rows
    shape = r"'[^@\s]+@[^@\s]+\.[^@\s.]+'"
    return f"""(
        select *, split_part(address, '@', 1) as mailbox, split_part(address, '@', 2) as domain,
            regexp_full_match(address, {shape}) as is_address
        from (select *, lower(trim(given)) as address from {rows})
    )"""


def _load_phones(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create given_phones(given, country_code, e164): each distinct number is read once."""
    types = [i.identifier_type for i in rules.identifiers if i.normalise == "phone"]
    work.execute(
        """
        create or replace table distinct_phones as
        select distinct given, country_code
        from given_ids
        where list_contains($1::varchar[], identifier_type)
        """,
        [types],
    )
    read_phones(work, rules.default_country)
