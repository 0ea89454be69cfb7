"""Requests held against a vendor's own OpenAPI file: the path, the method, the query, the body."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from conformance import Request, Spec
from openapi_schema_validator import OAS30Validator, OAS31Validator

HERE = Path(__file__).resolve()
METHODS = {"get", "post", "put", "patch", "delete"}


def folder() -> Path:
    """Where the vendors' files are; skips the test if they are not here."""
    named = os.environ.get("MAINSTEM_VENDOR_SPECS")
    beside = [parent / "shared" / "vendor_specs" for parent in HERE.parents]
    for path in [Path(named)] if named else beside:
        if path.is_dir():
            return path
    pytest.skip(
        "the vendors' OpenAPI files are not here: set MAINSTEM_VENDOR_SPECS to their folder"
    )


@cache
def document(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return dict(json.loads(text, object_hook=without_discriminator))
    # some copies hold control characters, which YAML forbids
    printable = re.sub(r"[\x00-\x08\x0b-\x1f]", "", text)
    return dict(yaml.load(printable, Loader=yaml.CSafeLoader))


def without_discriminator(node: dict[str, Any]) -> dict[str, Any]:
    """One that has no mapping names a schema by its value, and those are not called so; the
    alternatives are tried all the same."""
    if isinstance(node.get("discriminator"), dict):
        del node["discriminator"]
    return node


class Description:
    """One file, ready to be asked."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.document = document(folder() / spec.file)
        version = str(self.document.get("openapi") or "3.0")
        self.validator = OAS31Validator if version.startswith("3.1") else OAS30Validator

    def operation(self, request: Request) -> dict[str, Any] | None:
        """The operation that a request calls; literal paths go before templates."""
        path = request.path.removeprefix(self.spec.prefix)
        for template in sorted(self.document["paths"], key=lambda t: t.count("{")):
            pattern = re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path):
                found = self.document["paths"][template].get(request.method.lower())
                if found:
                    return dict(found)
        return None

    def complaints(self, request: Request) -> list[str]:
        """What is wrong with a request, by the description; nothing if it is right."""
        operation = self.operation(request)
        if operation is None:
            return [f"there is no {request.method} {request.path}"]
        found = []
        parameters = [self.resolved(one) for one in operation.get("parameters", ())]
        named = {one["name"] for one in parameters if one["in"] == "query"}
        found += [f"unknown query {name}" for name in request.query if name not in named]
        for one in parameters:
            given = {
                "query": one["name"] in request.query,
                "header": one["name"].lower() in request.headers,
            }.get(one["in"], True)
            if one.get("required") and not given:
                found.append(f"{one['in']} {one['name']} is missing")
        schema = self.schema_of_body(operation, parameters, request)
        if isinstance(schema, str):
            found.append(schema)
        elif schema is not None and request.body:
            # `#/components/...` is looked up in what is validated with
            whole = {name: self.document.get(name, {}) for name in ("components", "definitions")}
            checker = self.validator(whole | schema)
            found += [
                f"{error.json_path}: {error.message[:200]}"
                for error in checker.iter_errors(request.json())
            ]
        return found

    def schema_of_body(
        self, operation: dict[str, Any], parameters: list[dict[str, Any]], request: Request
    ) -> dict[str, Any] | str | None:
        in_body = [one for one in parameters if one["in"] == "body"]
        if in_body:  # Swagger 2
            return dict(in_body[0]["schema"])
        declared = self.resolved(operation.get("requestBody") or {})
        if not declared:
            return "a body where none is described" if request.body else None
        if declared.get("required") and not request.body:
            return "the body is missing"
        sent = request.headers.get("content-type", "").partition(";")[0]
        if request.body and sent not in declared["content"]:
            return f"content type {sent}, not {', '.join(declared['content'])}"
        return dict(declared["content"].get(sent, {}).get("schema") or {})

    def resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[unquote(part).replace("~1", "/").replace("~0", "~")]
            node = found
        return node
