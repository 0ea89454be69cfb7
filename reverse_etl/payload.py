"""What a row sends, as SQL: its fields as stable JSON text, a hash of each, and what it lacks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from reverse_etl import quoting
from reverse_etl.declarations import Sync
from reverse_etl.destination import Capabilities


@dataclass(frozen=True)
class Columns:
    """Column name → DuckDB type of the two relations that a payload draws from."""

    audience: dict[str, str]
    golden: dict[str, str]

    def source(self, column: str) -> tuple[str, str]:
        """A column as SQL, and its type: the audience's own, else that of golden_customers."""
        if column in self.audience:
            return quoting.name("a", column), self.audience[column]
        return quoting.name("g", column), self.golden[column]

    def shape(self, sync: Sync) -> dict[str, str]:
        """Target field → the column it is mapped to, and its type: what a plan rests on."""
        return {
            target: " ".join((column, self.source(column)[1])) for target, column in sync.fields
        }


def payload_sql(fields: Sequence[tuple[str, str]], columns: Columns) -> str:
    """The payload as stable JSON text: sorted by field, so that the order in YAML is no change."""
    pairs = (
        f"{quoting.text(target)}, {_json_value(*columns.source(column))}"
        for target, column in sorted(fields)
    )
    return f"json_object({', '.join(pairs)})::VARCHAR"


def parts_sql(fields: Sequence[tuple[str, str]], columns: Columns) -> str:
    """Each field's value as JSON text, sorted by field: what `payload_sql` is put together from."""
    values = (
        f"coalesce(to_json({_json_value(*columns.source(column))})::VARCHAR, 'null')"
        for _, column in sorted(fields)
    )
    return f"[{', '.join(values)}]::VARCHAR[]"


def field_hashes_sql(fields: Sequence[tuple[str, str]], parts: str, row_key: str) -> str:
    """Field → hash of its JSON. The row's key is in it, so that equal values of two people do not
    look equal, and no value can be looked up in a list made once."""
    targets = [target for target, _ in sorted(fields)]
    hashes = (
        f"md5_number_lower(concat_ws(chr(31), {row_key}, {quoting.text(target)}, {parts}[{number}]))"
        for number, target in enumerate(targets, 1)
    )
    names = ", ".join(quoting.text(target) for target in targets)
    return f"map([{names}]::VARCHAR[], [{', '.join(hashes)}]::UBIGINT[])"


def changed_sql(fields: Sequence[tuple[str, str]], parts: str, hashes: str, known: str) -> str:
    """The fields whose hash is not the known one, as a JSON object; emptied ones are null."""
    pairs = (
        f"CASE WHEN {hashes}[{quoting.text(target)}] IS DISTINCT FROM {known}[{quoting.text(target)}]"
        f" THEN concat({quoting.text(json.dumps(target, ensure_ascii=False))}, ':', {parts}[{number}])"
        " END"
        for number, (target, _) in enumerate(sorted(fields), 1)
    )
    return f"concat('{{', concat_ws(',', {', '.join(pairs)}), '}}')"


def _json_value(value: str, data_type: str) -> str:
    """A value for JSON: UTC times as ISO 8601, bytes as base64, no NaN; decimals are exact."""
    if data_type.startswith("TIMESTAMP") and not data_type.endswith("[]"):
        zone = "" if "TIME ZONE" in data_type else "::TIMESTAMP"
        return f"strftime({value}{zone}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if data_type in {"DOUBLE", "FLOAT"}:
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if data_type == "BLOB":
        return f"base64({value})"
    return value


def missing_sql(sync: Sync, capabilities: Capabilities, columns: Columns) -> str:
    """What a row lacks to be sent, as a reason; NULL if nothing.

    That is a required field without a value, or a value for any of the destination's identifiers.
    """
    sources = dict(sync.fields)

    def is_empty(target: str) -> str:
        return f"nullif(trim({columns.source(sources[target])[0]}::VARCHAR), '') IS NULL"

    whens = [(is_empty(target), f"missing_{target}") for target in sync.required]
    if one_of := sorted(capabilities.one_of_fields):
        tests = [is_empty(target) for target in one_of if target in sources] or ["true"]
        whens.append((" AND ".join(tests), f"missing_{'_or_'.join(one_of)}"))
    cases = "".join(f" WHEN {test} THEN {quoting.text(reason)}" for test, reason in whens)
    return f"CASE{cases} END" if whens else "NULL::VARCHAR"
