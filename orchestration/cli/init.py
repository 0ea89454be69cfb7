"""`mainstem init`: a project for a company of the user's own."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import click

from identity import overrides
from orchestration.cli import EXIT_FAILED

CHECKOUT = Path(__file__).resolve().parents[2]
KEPT_STAGING = ("identity",)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def command(folder: Path) -> None:
    """Set up a project of your own in FOLDER: models and rules, no sample company.

    It gets a dbt project (canonical models, marts and audiences, no sources yet), identity rules and a
    drop folder. Add sources with `mainstem source add`, then `mainstem run`.
    """
    target = folder.resolve()
    if (target / "dbt_project").exists() or (target / "identity").exists():
        print(
            f"mainstem: {target} has a dbt_project or identity folder already: nothing was changed."
            " Choose an empty folder.",
            file=sys.stderr,
        )
        sys.exit(EXIT_FAILED)
    target.mkdir(parents=True, exist_ok=True)
    skip = shutil.ignore_patterns("target", "logs", "dbt_packages", ".user.yml")
    shutil.copytree(CHECKOUT / "dbt_project", target / "dbt_project", ignore=skip)
    for staging in (target / "dbt_project" / "models" / "staging").iterdir():
        if staging.name not in KEPT_STAGING:
            shutil.rmtree(staging)
    (target / "dbt_project" / "models" / "syncs" / "_syncs.yml").unlink()
    (target / "identity").mkdir()
    shutil.copy(CHECKOUT / "identity" / "rules.yml", target / "identity" / "rules.yml")
    (target / "identity" / "overrides.yml").write_text(overrides.EMPTY, encoding="utf-8")
    shutil.copytree(CHECKOUT / "tests" / "dbt", target / "tests" / "dbt")
    (target / "drop").mkdir(exist_ok=True)
    ignored = target / ".gitignore"
    if not ignored.exists():
        ignored.write_text("data/\ndrop/\ndbt_project/target/\n", encoding="utf-8")
    settings = target / "dbt_project" / "dbt_project.yml"
    settings.write_text(without_sample(settings.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"A project of your own is in {target}.")
    print("Next:")
    print(f"  cd {target}")
    print(
        "  mainstem source add drop/<file> --name <system>   # for each file that your systems export"
    )
    print("  mainstem run")


def without_sample(settings: str) -> str:
    """dbt_project.yml's text with the sample off, no sources, and the clock as now."""
    settings = re.sub(r"sample_company: true", "sample_company: false", settings)
    settings = re.sub(r'as_of: ".*?"', "as_of: null", settings)
    return re.sub(r"^  sources:\n(?:    .*\n)+", "  sources: {}\n", settings, flags=re.MULTILINE)
