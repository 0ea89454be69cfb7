"""`${NAME}` and `${NAME:-default}` in a sync's `connection`, resolved only when it runs."""

import re
from collections.abc import Mapping

REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class MissingVariableError(Exception):
    """A `connection` names an environment variable that is not set and gives no default."""

    def __init__(self, key: str, variable: str) -> None:
        super().__init__(f"connection.{key} needs the environment variable {variable}")


def resolve(connection: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """The connection with its references replaced; a variable that is empty counts as not set.

    Raises MissingVariableError.
    """
    return {key: _resolve_value(key, value, env) for key, value in connection.items()}


def _resolve_value(key: str, value: str, env: Mapping[str, str]) -> str:
    def replace(reference: re.Match[str]) -> str:
        found = env.get(reference["name"]) or reference["default"]
        if found is None:
            raise MissingVariableError(key, reference["name"])
        return found

    return REFERENCE.sub(replace, value)


def holds_literal(value: str) -> bool:
    """Whether a value is written out rather than taken from the environment."""
    return bool(REFERENCE.sub("", value).strip())
