"""Read what is declared: dbt's source YAMLs, and in them who brings which file into which table.

A source is dbt's own (`sources:` in any `_<source>.yml` below the staging folder); what is ours is
`config.meta.ingest`, on a source as defaults and on a table, whose keys win. dbt merges meta
shallowly, we merge it by key.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from ingestion import connectors, cursors, rhythms
from ingestion.checks import (
    Where,
    WrongError,
    known,
    nearest,
    one_of,
    secrets,
    texts,
)
from ingestion.sources import (
    Column,
    Compression,
    Declarations,
    Format,
    FormatType,
    Ingest,
    Mode,
    Problem,
    SourceTable,
)

INGEST_KEYS = (
    "connector",
    "location",
    "format",
    "key",
    "newest_by",
    "mode",
    "connection",
    "cursor",
    "schedule",
    "partition",
    "watch",
)
# libyaml reads a file in a tenth of the time, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FORMAT_KEYS = tuple(Format.__dataclass_fields__)
COLUMN_META_KEYS = ("aliases", "format", "required")
#: Columns that loading adds to every raw table.
TECHNICAL_COLUMNS = (
    "_extra",
    "_occurrence",
    "_delivery",
    "_load_id",
    "_origin",
    "_loaded_at",
    "_deleted_at",
    "_record_id",
)


def read(staging_dir: Path) -> Declarations:
    """Read every `_<source>.yml` below `staging_dir`, in the order of their paths.

    Nothing is raised for a bad declaration: it becomes a Problem and the other tables still come.
    A table whose ingest block is wrong comes with `ingest=None` and the columns that are right.
    """
    tables: list[SourceTable] = []
    problems: list[Problem] = []
    for path in sorted(staging_dir.rglob("_*.y*ml")):
        try:
            loader = _LOADER(path.read_text("utf-8"))
            node = loader.get_single_node()
            document = loader.construct_document(node) if node is not None else None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or type(error).__name__
            line = mark.line + 1 if mark else None
            problems.append(Problem("", "", path, line, f"this is not readable YAML: {what}"))
            continue
        for found in _tables(path, document, node):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                tables.append(found)
    return Declarations(tuple(tables), tuple(problems))


def _tables(path: Path, document: Any, node: yaml.Node | None) -> Iterator[SourceTable | Problem]:
    sources = document.get("sources") if isinstance(document, dict) else None
    for s, source in enumerate(sources if isinstance(sources, list) else []):
        if not isinstance(source, dict) or not isinstance(source.get("name"), str):
            line = _line(node, ("sources", s))
            yield Problem("", "", path, line, "every source needs a `name`")
            continue
        defaults, defaults_at = _meta(source, ("sources", s), "ingest")
        for t, table in enumerate(source.get("tables") or []):
            at: Where = ("sources", s, "tables", t)
            if not isinstance(table, dict) or not isinstance(table.get("name"), str):
                line = _line(node, at)
                yield Problem(source["name"], "", path, line, "every table needs a `name`")
                continue
            own, ingest_at = _meta(table, at, "ingest")
            if own is None:
                continue  # a dbt source that somebody else fills
            names = (source["name"], table["name"])
            columns: list[Column] = []
            for c, column in enumerate(table.get("columns") or []):
                try:
                    columns.append(_column(column, (*at, "columns", c), columns, node))
                except WrongError as wrong:
                    yield Problem(*names, path, _line(node, wrong.at), str(wrong))
            ingest = None
            try:
                if not columns:
                    raise WrongError(at, "declare its `columns`, each with a `data_type`")
                if len(columns) == len(table.get("columns") or []):
                    ingest = _ingest(defaults, own, ingest_at, columns)
            except WrongError as wrong:
                inherited = (*defaults_at, *wrong.at[len(ingest_at) :])
                line = (
                    _line(node, wrong.at, whole=True)
                    or _line(node, inherited, whole=True)
                    or _line(node, wrong.at)
                )
                yield Problem(*names, path, line, str(wrong))
            if columns:
                yield SourceTable(
                    source=source["name"],
                    name=table["name"],
                    schema=str(source.get("schema") or f"raw_{source['name']}"),
                    path=path,
                    line=_line(node, at),
                    columns=tuple(columns),
                    ingest=ingest,
                )


def _column(column: Any, at: Where, before: Iterable[Column], node: yaml.Node | None) -> Column:
    if not isinstance(column, dict) or not isinstance(column.get("name"), str):
        raise WrongError(at, "every column needs a `name`")
    name = column["name"]
    if not isinstance(column.get("data_type"), str):
        raise WrongError(at, f"column {name} needs a `data_type`, such as varchar or timestamp")
    if name.lower() in TECHNICAL_COLUMNS:
        raise WrongError(at, f"column {name} has a name that loading keeps for itself")
    if name.lower() in {other.name.lower() for other in before}:
        raise WrongError(at, f"column {name} is declared twice (names differ by more than case)")
    config = column.get("config")
    meta = config.get("meta") if isinstance(config, dict) else None
    in_config = isinstance(meta, dict)
    meta = meta if isinstance(meta, dict) else column.get("meta") or {}
    meta_at: Where = (*at, "config", "meta") if in_config else (*at, "meta")
    # Other meta keys (pii, identifier ...) are other rooms': only likely slips are ours to name.
    for key in meta:
        close = difflib.get_close_matches(str(key), COLUMN_META_KEYS, 1, 0.8)
        if key not in COLUMN_META_KEYS and close:
            raise WrongError((*meta_at, key), f"unknown key `{key}`: did you mean `{close[0]}`?")
    required = meta.get("required", False)
    if not isinstance(required, bool):
        raise WrongError((*meta_at, "required"), "`required` is true or false")
    return Column(
        name=name,
        data_type=column["data_type"],
        aliases=texts(meta.get("aliases"), (*meta_at, "aliases")),
        formats=texts(meta.get("format"), (*meta_at, "format")),
        required=required,
        line=_line(node, at),
    )


def _ingest(defaults: Any, own: Any, at: Where, columns: list[Column]) -> Ingest:
    if not isinstance(own, dict) or not isinstance(defaults or {}, dict):
        raise WrongError(at, "`ingest` is a mapping of keys such as `connector` and `location`")
    block: dict[str, Any] = {**(defaults or {}), **own}
    for key in ("format", "connection"):
        given = [part.get(key) or {} for part in (defaults or {}, own)]
        if not all(isinstance(part, dict) for part in given):
            raise WrongError((*at, key), f"`{key}` is a mapping")
        block[key] = {**given[0], **given[1]}
    if not isinstance(block.get("connector"), str):
        raise WrongError((*at, "connector"), "`ingest` needs a `connector`")
    one_of(block, "connector", connectors.names(), at)
    connector = connectors.get(block["connector"])
    known(block, (*INGEST_KEYS, *connector.OPTION_KEYS), at)
    # A connector without a location (a query, say) makes one up, for naming what failed.
    location = connector.location(block) if hasattr(connector, "location") else None
    location = location or block.get("location")
    if not isinstance(location, str) or not location:
        raise WrongError((*at, "location"), "`ingest` needs a `location`")
    known(block["connection"], connector.CONNECTION_KEYS, (*at, "connection"))
    secrets(block["connection"], connector.SECRET_KEYS, (*at, "connection"))
    connector.check(block, at)
    if connector.WRITES is not None:
        for key in block["format"]:
            raise WrongError(
                (*at, "format", key), "this connector writes its own files: leave `format` out"
            )
        block["format"] = {"type": connector.WRITES}
    one_of(block, "mode", get_args(Mode), at)
    names = [column.name for column in columns]
    keys = texts(block.get("key"), (*at, "key"))
    newest_by = block.get("newest_by")
    for where, name in [("key", name) for name in keys] + [("newest_by", newest_by)]:
        if name is not None and name not in names:
            raise WrongError(
                (*at, where), f"`{where}`: no column {name}{nearest(str(name), names)}"
            )
    if newest_by is not None and not keys:
        raise WrongError(
            (*at, "newest_by"), "`newest_by` chooses between rows of one `key`: give it"
        )
    if block.get("mode") in ("upsert", "snapshot") and not keys:
        raise WrongError((*at, "mode"), f"mode {block['mode']} needs a `key`")
    cursor = cursors.declared(block, keys, columns, at)
    return Ingest(
        connector=block["connector"],
        location=location,
        format=_format(block["format"], (*at, "format")),
        key=keys,
        # Of two extractions of a row, the one with the greater cursor is the later one.
        newest_by=newest_by or (cursor.column if cursor else None),
        mode=block.get("mode", "append"),
        connection={key: str(value) for key, value in block["connection"].items()},
        options={key: block[key] for key in connector.OPTION_KEYS if key in block},
        cursor=cursor,
        **rhythms.read(block, location, at),
    )


def _format(block: Mapping[str, Any], at: Where) -> Format:
    known(block, FORMAT_KEYS, at)
    one_of(block, "type", get_args(FormatType), at)
    one_of(block, "compression", get_args(Compression), at)
    for key, value in block.items():
        if key == "header" and not isinstance(value, bool):
            raise WrongError((*at, key), "`header` is true or false")
        if key != "header" and value is not None and not isinstance(value, str):
            raise WrongError((*at, key), f"`{key}` is a text, not {value!r}: put it in quotes")
        alone = key == "delimiter" or (key == "quote" and value != "")
        if alone and len(str(value).encode()) != 1:
            raise WrongError(
                (*at, key), f'`{key}` is one character, such as ";" or "\\t" in quotes'
            )
        if key in ("encoding", "encoding_fallback") and value is not None:
            try:
                codecs.lookup(value)
            except LookupError:
                raise WrongError((*at, key), f"`{key}`: no encoding is called {value}") from None
    return Format(**block)


def _meta(node: Mapping[str, Any], at: Where, key: str) -> tuple[Any, Where]:
    """`config.meta.<key>`, or `meta.<key>` as dbt wrote it before 1.10, and where it stands."""
    for path in (("config", "meta", key), ("meta", key)):
        value: Any = node
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value, (*at, *path)
    return None, at


def _line(node: yaml.Node | None, at: Where, *, whole: bool = False) -> int | None:
    """The line (from 1) of what `at` leads to, or (unless `whole`) of the nearest thing above."""
    line = None
    for part in at:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next((pair for pair in pairs if pair[0].value == part), None)
        if pair is None:
            return None if whole else line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line
