"""`mainstem init`: a project for a company of the user's own, alone or beside its dbt project."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from identity import overrides
from orchestration.cli import EXIT_FAILED
from orchestration.home import BESIDE

CHECKOUT = Path(__file__).resolve().parents[2]
KEPT_STAGING = ("identity",)
LEFT_OUT = ("target", "logs", "dbt_packages", "dbt_internal_packages")
FLAG = "require_ref_searches_node_package_before_root"


@dataclass(frozen=True)
class TheirProject:
    """A dbt project that is there already. `duckdb` is its database file, where it has one;
    `engine` what its profile runs on, as far as that can be told."""

    folder: Path
    name: str
    engine: str | None
    duckdb: Path | None


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def command(folder: Path) -> None:
    """Set up a project of your own in FOLDER: models and rules, no sample company.

    In an empty folder it gets a dbt project (canonical models, marts and audiences, no sources yet),
    identity rules and a drop folder. Beside a dbt project of yours all that goes into a folder
    `mainstem`, which has your project as a local package: `mainstem run` builds your models and its
    own, in one lineage. Nothing of yours is changed, and no file is ever overwritten.
    """
    target = folder.resolve()
    try:
        theirs = find_dbt_project(target)
        root = target / BESIDE if theirs else target
        files = project_files()
        if theirs:
            files |= package_files(theirs, root)
            files["dbt_project/dbt_project.yml"] = _as_root(files["dbt_project/dbt_project.yml"])
    except ValueError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    ignored = files.pop(".gitignore") if (root / ".gitignore").exists() else b""
    conflicts = [name for name in files if (root / name).exists()]
    if conflicts:
        shown = "".join(f"\n  {name}" for name in conflicts)
        print(
            f"mainstem: {root} has these already: nothing was written.{shown}\n"
            "Choose an empty folder, or move them away.",
            file=sys.stderr,
        )
        sys.exit(EXIT_FAILED)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "drop").mkdir(exist_ok=True)
    _tell(root, theirs, len(files))
    if ignored:
        names = ", ".join(ignored.decode().split())
        print(f"Your .gitignore stays as it is: let it name {names}")


def project_files() -> dict[str, bytes]:
    """What a project of one's own consists of: by path, the content."""
    dbt_project = CHECKOUT / "dbt_project"
    found: dict[str, bytes] = {}
    for path in sorted(path for path in dbt_project.rglob("*") if path.is_file()):
        inside = path.relative_to(dbt_project)
        sample = inside.parts[:2] == ("models", "staging") and inside.parts[2] not in KEPT_STAGING
        sync = inside.as_posix() == "models/syncs/_syncs.yml"
        hidden = inside.parts[0] in LEFT_OUT or inside.name == ".user.yml"
        if not (sample or sync or hidden):
            found[f"dbt_project/{inside.as_posix()}"] = path.read_bytes()
    settings = found["dbt_project/dbt_project.yml"].decode()
    found["dbt_project/dbt_project.yml"] = without_sample(settings).encode()
    for name in ("canonical/experiments.yml", "audiences/aud_abandoned_cart.yml"):
        place = f"dbt_project/models/{name}"
        found[place] = without_experiments(found[place].decode()).encode()
    found["identity/rules.yml"] = (CHECKOUT / "identity" / "rules.yml").read_bytes()
    found["identity/overrides.yml"] = overrides.EMPTY.encode()
    for path in sorted((CHECKOUT / "tests" / "dbt").glob("*.sql")):
        found[f"tests/dbt/{path.name}"] = path.read_bytes()
    found[".gitignore"] = b"data/\ndrop/\ndbt_project/target/\n"
    return found


def without_sample(settings: str) -> str:
    """dbt_project.yml's text with the sample off, no sources, and the clock as now."""
    settings = re.sub(r"sample_company: true", "sample_company: false", settings)
    settings = re.sub(r'as_of: ".*?"', "as_of: null", settings)
    settings = re.sub(r"time_zone: \S+", "time_zone: UTC", settings)
    return re.sub(r"^  sources:\n(?:    .*\n)+", "  sources: {}\n", settings, flags=re.MULTILINE)


def without_experiments(declared: str) -> str:
    """The text of a model's YAML without the sample's experiments: they would hold people out."""
    declared = re.sub(r", experiment: \w+", "", declared)
    return re.sub(
        r"^( +)experiments:\n(?:\1  .*\n)+", r"\1experiments: []\n", declared, flags=re.MULTILINE
    )


def find_dbt_project(folder: Path) -> TheirProject | None:
    """The dbt project in a folder, or in one of its subfolders if there is just one.

    Raises ValueError for one that is ours, and for one that cannot be read.
    """
    places = [folder, *sorted(p for p in folder.glob("*/") if p.name not in (BESIDE, *LEFT_OUT))]
    found = [place for place in places if (place / "dbt_project.yml").is_file()]
    if not found:
        return None
    if found[0] != folder and len(found) > 1:
        names = ", ".join(place.name for place in found)
        raise ValueError(f"{folder} has several dbt projects ({names}): choose one of them")
    settings = _yaml(found[0] / "dbt_project.yml")
    name = str(settings.get("name", ""))
    if name == "mainstem":
        raise ValueError(f"{found[0]} is a Mainstem project already: nothing was changed")
    engine, database = _profile(found[0], str(settings.get("profile", name)))
    return TheirProject(found[0], name, engine, database)


def package_files(theirs: TheirProject, root: Path) -> dict[str, bytes]:
    """What a project beside theirs has more: theirs as a package, and its DuckDB file as warehouse."""
    dbt_project = root / "dbt_project"
    place = os.path.relpath(theirs.folder, dbt_project)
    found = {
        "dbt_project/packages.yml": (
            "# Your own dbt project: its models are built with these, and any model here may ref() one.\n"
            f"packages:\n  - local: {place}\n"
        ).encode(),
        ".gitignore": b"data/\ndrop/\ndbt_project/target/\ndbt_project/dbt_packages/\n",
    }
    if theirs.duckdb is not None:
        profile = (CHECKOUT / "dbt_project" / "profiles.yml").read_text(encoding="utf-8")
        shared = os.path.relpath(theirs.duckdb, dbt_project)
        found["dbt_project/profiles.yml"] = profile.replace(
            "../data/warehouse/mainstem.duckdb", shared
        ).encode()
    return found


def _as_root(settings: bytes) -> bytes:
    """Both projects may have a model `orders`: each means its own."""
    return settings.replace(b"\nflags:\n", f"\nflags:\n  {FLAG}: true\n".encode(), 1)


def _profile(project: Path, name: str) -> tuple[str | None, Path | None]:
    """The type of their profile's target, and its DuckDB file if that is a plain path."""
    folders = [os.environ.get("DBT_PROFILES_DIR"), project, Path.home() / ".dbt"]
    for folder in folders:
        path = Path(folder or project) / "profiles.yml"
        if not path.is_file():
            continue
        profile = _yaml(path).get(name)
        if not isinstance(profile, dict):
            continue
        outputs = profile.get("outputs") or {}
        target = profile.get("target") or "default"
        output = outputs.get(target) if isinstance(outputs, dict) else None
        if not isinstance(output, dict):
            return None, None
        file = str(output.get("path", ""))
        is_file = output.get("type") == "duckdb" and re.fullmatch(r"[^{}:?]+", file)
        return output.get("type"), (project / file).resolve() if is_file else None
    return None, None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not readable as YAML: mend it first, `dbt parse` says where")
    return content


def _tell(root: Path, theirs: TheirProject | None, count: int) -> None:
    print(f"A project of your own is in {root} ({count} files).")
    if theirs:
        print(f"  your models     {theirs.name}, as a local package (dbt_project/packages.yml)")
        if theirs.duckdb:
            print(f"  the warehouse   yours, {theirs.duckdb} (dbt_project/profiles.yml)")
        else:
            engine = f"your profile's {theirs.engine}" if theirs.engine else "your profile's target"
            print("  the warehouse   data/warehouse/mainstem.duckdb, a DuckDB target of its own")
            print(f"  note            sources of your models in {engine} have to be loaded there")
        print(f"  feeding in      models/staging/: select from ref('{theirs.name}', '<model>')")
        print("  map of sources  dbt_project/dbt_project.yml, `sources`")
        print("  identity rules  identity/rules.yml")
    print("Next:")
    if not theirs:
        print(f"  cd {root}")
    drop = f"{BESIDE}/drop" if theirs else "drop"
    print(f"  mainstem source add {drop}/<file> --name <system>   # for each file of your systems")
    print("  mainstem run")
