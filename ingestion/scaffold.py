"""What `mainstem source add` writes: a source's YAML, its staging model and that model's YAML.

What is written builds at once, and is meant to be edited: the guesses are all in plain sight.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ingestion.inspection import NOTES, ColumnGuess, TableGuess
from ingestion.sources import IngestionError
from ingestion.vocabulary import PERSONAL

NAME = re.compile(r"[a-z][a-z0-9_]*")
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ScaffoldError(IngestionError):
    """A source of that name cannot be written here; the message says why and what to do."""


def write(
    dbt_project: Path, source: str, table: str, guess: TableGuess, ingest: Mapping[str, Any]
) -> list[Path]:
    """Write the files of a new source and switch it on; the paths that were written or changed.

    `ingest` is the table's block without format and key, which come from the guess. Raises
    ScaffoldError when the name is no plain one, or is taken.
    """
    for name in (source, table):
        if not NAME.fullmatch(name):
            raise ScaffoldError(
                f"{name!r} is no name for a schema: use a-z, 0-9 and _, a letter first"
            )
    folder = dbt_project / "models" / "staging" / source
    if folder.exists():
        raise ScaffoldError(f"{folder} is there already: choose another --name, or edit its YAML")
    entity = "contacts" if guess.is_people else table
    model = f"stg_{source}__{entity}"
    texts = {
        folder / f"_{source}.yml": source_yaml(source, table, guess, ingest),
        folder / f"{model}.sql": staging_sql(source, table, guess),
        folder / f"{model}.yml": staging_yaml(model, source, table, guess),
    }
    settings = dbt_project / "dbt_project.yml"
    switched = switch_on(
        settings.read_text(encoding="utf-8"), source, ["contacts"] if guess.is_people else []
    )
    folder.mkdir(parents=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    settings.write_text(switched, encoding="utf-8")
    return [*texts, settings]


def switch_on(settings: str, source: str, entities: list[str]) -> str:
    """dbt_project.yml's text with the source in its `sources` map, comments and all else as they are."""
    found = re.search(r"^( *)sources:[ \t]*(\{.*\})?[ \t]*(#.*)?$", settings, flags=re.MULTILINE)
    if not found:
        raise ScaffoldError("dbt_project.yml has no `sources:` map under `vars:`: add one")
    switched_on = {source: entities, **(yaml.safe_load(found[2] or "{}"))}
    lines = [f"{found[1]}  {name}: [{', '.join(of)}]" for name, of in switched_on.items()]
    block = "\n".join([f"{found[1]}sources:", *lines])
    return settings[: found.start()] + block + settings[found.end() :]


def source_yaml(source: str, table: str, guess: TableGuess, ingest: Mapping[str, Any]) -> str:
    """The source's YAML."""
    block: dict[str, Any] = {**ingest, **({"format": guess.format} if guess.format else {})}
    if guess.key:
        block["key"] = list(guess.key)
        if guess.newest_by:
            block["newest_by"] = guess.newest_by
    lines = "\n".join(f"              {key}: {_flow(value)}" for key, value in block.items())
    columns = "\n".join(f"          - {_column(column)}" for column in guess.columns)
    return f"""version: 2

sources:
  - name: {source}
    schema: raw_{source}
    description: "TODO: which system this is, and who runs it."
    config:
      enabled: "{{{{ '{source}' in var('sources') }}}}"
      loaded_at_field: _loaded_at
      freshness: {{warn_after: {{count: 2, period: day}}}}
    tables:
      - name: {table}
        description: "TODO: what a row is."
        config:
          meta:
            ingest:
{lines}
        columns:
{columns}
"""


def staging_sql(source: str, table: str, guess: TableGuess) -> str:
    """The staging model: every column renamed; those of contacts under their canonical names."""
    lines = ["        _record_id as source_record_id"]
    used = {"source_record_id", "loaded_at"}
    for column in guess.columns:
        name = staged_name(column, guess)
        if name in used:
            name = f"{name}_given"
        used.add(name)
        lines.append(
            f"        {_expression(column)} as {name}"
            if _expression(column) != name
            else f"        {name}"
        )
    if guess.is_people:
        created = "created_at" if "created_at" in used else None
        stand_in = "_loaded_at" if created is None else _expression(_by_role(guess, "created_at"))
        if created is None:
            lines.append("        _loaded_at as created_at")
        if "updated_at" not in used:
            lines.append(f"        {stand_in} as updated_at")
        lines.append("        _deleted_at is not null as is_deleted")
    lines.append("        _loaded_at as loaded_at")
    selected = ",\n".join(lines)
    return f"""{{{{ config(enabled='{source}' in var('sources')) }}}}

with source as (
    select * from {{{{ source('{source}', '{table}') }}}}
),

renamed as (
    select
{selected}
    from source
)

select * from renamed
"""


def staging_yaml(model: str, source: str, table: str, guess: TableGuess) -> str:
    """The staging model's YAML: tests on its key, identifiers and personal data marked."""
    key = (
        "The source's own key."
        if guess.key
        else "A hash of the row's content, since the source has no key."
    )
    lines = [
        "      - name: source_record_id",
        f"        description: {_flow(key)}",
        "        data_tests: [unique, not_null]",
    ]
    names = {"source_record_id"}
    for column in guess.columns:
        name = staged_name(column, guess)
        meta: dict[str, Any] = {}
        if column.role in PERSONAL or column.identifier in ("email", "phone"):
            meta["pii"] = True
        if column.identifier and guess.is_people:
            meta["identifier"] = column.identifier
        declared: dict[str, Any] = {"name": name, "description": f"From `{column.name}`."}
        if meta:
            declared["config"] = {"meta": meta}
        lines.append(f"      - {_flow(declared)}")
        names.add(name)
    lines += [
        f"      - {_flow({'name': name, 'description': description})}"
        for name, description in _added(guess).items()
        if name not in names
    ]
    columns = "\n".join(lines)
    return f"""version: 2

models:
  - name: {model}
    description: "TODO: what a row of {source}.{table} is."
    columns:
{columns}
"""


def _added(guess: TableGuess) -> dict[str, str]:
    """Columns that a staging model has whatever the source has, and what they say then."""
    loaded = {"loaded_at": "When it was loaded, in UTC."}
    if not guess.is_people:
        return loaded
    return {
        "created_at": "When it was loaded: the source does not say when it made it.",
        "updated_at": "As created_at: the source does not say when it changed it.",
        "is_deleted": "Gone from the newest delivery of a snapshot.",
        **loaded,
    }


def staged_name(column: ColumnGuess, guess: TableGuess) -> str:
    """The column's name in the staging model."""
    return column.role if column.role and guess.is_people else column.snake_name


def _by_role(guess: TableGuess, role: str) -> ColumnGuess:
    return next(column for column in guess.columns if column.role == role)


def _expression(column: ColumnGuess) -> str:
    name = (
        column.name if PLAIN.fullmatch(column.name) else '"' + column.name.replace('"', '""') + '"'
    )
    if column.role == "country_code":
        return f"{{{{ country_code('{name}') }}}}"
    if column.role in ("created_at", "updated_at") and column.data_type != "timestamp":
        return f"cast({name} as timestamp)" if column.data_type == "date" else "_loaded_at"
    if column.role == "birth_date" and column.data_type != "date":
        return f"try_cast({name} as date)"
    return name


def _column(column: ColumnGuess) -> str:
    declared: dict[str, Any] = {"name": column.name, "data_type": column.data_type}
    if column.format and column.format not in NOTES:
        declared["config"] = {"meta": {"format": column.format}}
    return _flow(declared)


def _flow(value: Any) -> str:
    """A value as YAML on one line; text is quoted where YAML would read it as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./*-]*", text) and text.lower() not in (
        "true", "false", "yes", "no", "on", "off", "null", "y", "n",
    )  # fmt: skip
    return text if is_plain else json.dumps(text, ensure_ascii=False)
