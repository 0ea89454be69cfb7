"""`mainstem explain A B` and `mainstem identity ...` as a steward meets them, on a published file."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from identity import overrides, probabilistic
from identity.rules import default_path
from identity.training import train
from orchestration.cli import cli
from orchestration.warehouse import publish

PEOPLE: dict[str, dict[str, Any]] = {
    "crm:1": {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.org",
              "birth_date": date(1980, 5, 17)},
    "shop:1": {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.org",
               "phone": "+1 617 555 0134"},
    "app:1": {"first_name": "Ann", "phone": "+1 617 555 0134"},
    "crm:2": {"first_name": "Bob", "last_name": "Lee", "birth_date": date(1955, 1, 30)},
    "crm:3": {"first_name": "Cy", "last_name": "Fox", "email": "info@fox.org"},
    "shop:3": {"first_name": "Dee", "last_name": "Roe", "email": "info@fox.org"},
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, new_warehouse: Any) -> Path:
    """A published file that has these people, resolved."""
    path = tmp_path_factory.mktemp("published") / "mainstem.duckdb"
    w = new_warehouse()
    for key, values in PEOPLE.items():
        w.contact(key, **values)
    w.visitor("v1", email="ann@lee.org")
    w.steer()
    w.con.execute("create schema audiences")
    for name, members in (("all", "true"), ("fox", "node_key = 'crm:3'")):
        w.con.execute(
            f"create table audiences.aud_{name} as"
            f" select distinct customer_id from identity.crosswalk where {members}"
        )
    publish(w.con, path)
    w.con.close()
    return path


@pytest.fixture
def project(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with that file."""
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project" / "dbt_project.yml").write_text("name: mainstem\n")
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "rules.yml").write_text(default_path().read_text())
    (tmp_path / "identity" / "overrides.yml").write_text(overrides.EMPTY)
    (tmp_path / "data" / "published").mkdir(parents=True)
    shutil.copy(published, tmp_path / "data" / "published" / "mainstem.duckdb")
    monkeypatch.setenv("MAINSTEM_PROJECT", str(tmp_path))
    monkeypatch.delenv("MAINSTEM_HOME", raising=False)
    return tmp_path


def mainstem(*arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=said)


def test_explain_shows_the_path_and_its_weakest_link(project: Path) -> None:
    shown = mainstem("explain", "crm:1", "app:1").output
    assert "One customer" in shown
    assert "→ shop:1" in shown and "→ app:1" in shown and "Weakest link" in shown
    found = json.loads(mainstem("explain", "ANN@lee.org", "617 555 0134", "--json").output)
    assert found["is_one"] and found["found_as"] == ["email", "phone"]


def test_explain_says_what_keeps_two_apart(project: Path) -> None:
    shown = mainstem("explain", "crm:1", "crm:2").output
    assert "Two customers" in shown and "They cannot be one" in shown
    assert "other first name" in shown and "alike in last name" in shown
    blocked = mainstem("explain", "crm:3", "shop:3").output
    assert "email info@fox.org (placeholder)" in blocked
    assert mainstem("explain", "crm:1", "nobody").exit_code == 1


def test_explaining_a_pair_imports_nothing_heavy(project: Path) -> None:
    code = (
        "import sys; from orchestration.cli import cli\n"
        "try: cli(['explain', 'crm:1', 'crm:2'])\n"
        "except SystemExit: pass\n"
        "heavy = ('dagster', 'dbt', 'splink', 'pandas', 'scipy', 'numpy', 'pyarrow')\n"
        "sys.exit(str([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "[]"


def test_plan_shows_what_a_decision_would_do_and_writes_nothing(project: Path) -> None:
    assert "Nothing would change" in mainstem("identity", "plan", "--quiet").output
    published = project / "data" / "published" / "mainstem.duckdb"
    before = published.read_bytes()
    path = project / "identity" / "overrides.yml"
    path.write_text(
        """
overrides:
  - {action: always_link, left: crm:1, right: crm:2, author: jo, reason: x, created_at: 2026-07-01}
  - {action: never_link, left: crm:1, right: shop:1, author: jo, reason: x, created_at: 2026-07-01}
  - {action: never_link, left: crm:3, right: gone:1, author: jo, reason: x, created_at: 2026-07-01}
"""
    )
    plan = json.loads(mainstem("identity", "plan", "--json").output)
    assert plan["merged"] + plan["split"] >= 1 and plan["contacts_moved"] >= 1
    assert {effect["kind"] for effect in plan["effects"]} & {"merge", "split", "move"}
    everybody, fox = plan["audiences"]
    assert everybody["touched"] >= 1 and fox["touched"] == 0
    assert everybody["members"] == everybody["members_least"] + plan["merged"]
    assert everybody["members_most"] == everybody["members_least"] + plan["split"]
    assert "no record is known by gone:1" in plan["warnings"][0]
    shown = mainstem("identity", "plan", "--quiet").output
    assert "Customers" in shown and "aud_all" in shown
    assert "aud_fox" not in shown and "nobody touched: 1" in shown
    assert published.read_bytes() == before


def test_plan_scores_with_the_kept_model_unless_asked_for_a_new_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def count(*given: Any) -> Any:
        trained.append(1)
        return train(*given)

    monkeypatch.setattr(probabilistic, "train", count)
    (project / "identity" / "overrides.yml").write_text(
        "overrides: [{action: never_link, left: crm:1, right: crm:2, author: jo, reason: x,"
        " created_at: 2026-07-01}]\n"
    )
    shown = mainstem("identity", "plan", "--quiet").output
    assert "Customers" in shown and "trained" not in shown and not trained
    plan = json.loads(mainstem("identity", "plan", "--retrain", "--json").output)
    assert trained and plan["why_trained"] == "asked for"
    (project / "identity" / "overrides.yml").write_text("overrides: []\n")
    again = mainstem("identity", "plan", "--retrain", "--quiet").output
    assert "Customers" in again and "Next: mainstem identity retrain" in again


def test_plan_names_a_mistake(project: Path) -> None:
    (project / "identity" / "overrides.yml").write_text("overrides: [{action: link}]\n")
    done = mainstem("identity", "plan", "--quiet")
    assert done.exit_code == 1 and "overrides[1]" in done.stderr
    assert mainstem("identity", "rollback", "77").exit_code == 1


def test_runs_are_listed(project: Path) -> None:
    (run,) = json.loads(mainstem("identity", "runs", "--json").output)
    assert (run["run_number"], run["purpose"]) == (1, "run")
    assert "what for" in mainstem("identity", "runs").output


def test_answers_are_decisions_and_labels_and_can_be_undone(project: Path) -> None:
    path = project / "identity" / "overrides.yml"
    done = mainstem("identity", "review", "--author", "jo", said="y\nu\nn\nq\n")
    assert done.exit_code == 0, done.output
    assert "1 decided" in done.output
    text = path.read_text()
    assert text.startswith(overrides.EMPTY.split("version")[0])  # comments stay
    assert "never_link" in text and "always_link\n" not in text.split("version: 1")[1]
    with (project / "identity" / "labels.csv").open() as file:
        (label,) = csv.DictReader(file)
    assert (label["is_match"], label["author"]) == ("false", "jo")
    asked_next = mainstem("identity", "review", "--author", "jo", said="q\n").output
    assert "1 of" in asked_next
    assert "95 %" in mainstem("identity", "evaluate").output


def test_the_page_asks_and_its_answers_are_taken(project: Path, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    assert mainstem("identity", "review", "--page", str(page)).exit_code == 0
    text = page.read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    answers = [{**question, "answer": "yes"} for question in data["questions"][:2]]
    for answer in answers:
        del answer["comparison"], answer["why"]
    saved = tmp_path / "answers.json"
    saved.write_text(json.dumps({"author": "jo", "answers": answers}))
    taken = mainstem("identity", "review", "--answers", str(saved))
    assert f"{len(answers)} decided" in taken.output
    assert mainstem("identity", "review", "--answers", str(saved)).exit_code == 0
    text = (project / "identity" / "overrides.yml").read_text().split("version: 1")[1]
    assert text.count("action: always_link") == len(answers)  # once, though taken twice
    saved.write_text('{"answers": [{"answer": "maybe"}]}')
    wrong = mainstem("identity", "review", "--answers", str(saved))
    assert wrong.exit_code == 1 and "answer 1" in wrong.stderr


def test_labels_of_people_are_counted(project: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("contact_key,person_id\ncrm:1,a\nshop:1,a\napp:1,a\ncrm:2,b\ncrm:3,c\n")
    found = json.loads(mainstem("identity", "evaluate", "--labels", str(truth), "--json").output)
    assert (found["precision"], found["recall"]) == (1.0, 1.0)
    truth.write_text("left_key,right\ncrm:1,b\n")
    wrong = mainstem("identity", "evaluate", "--labels", str(truth))
    assert wrong.exit_code == 1 and "right_key is missing" in wrong.stderr
    none = mainstem("identity", "evaluate")
    assert none.exit_code == 1 and "identity review" in none.stderr


def test_an_answer_that_cannot_be_leaves_the_question(project: Path) -> None:
    asked = mainstem("identity", "review", "--author", "jo", "--page", str(project / "p.html"))
    assert asked.exit_code == 0
    text = (project / "p.html").read_text()
    data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    left, right = (data["questions"][0][side] for side in ("left_key", "right_key"))
    path = project / "identity" / "overrides.yml"
    entry = "action: always_link, author: jo, reason: x, created_at: 2026-07-01"
    path.write_text(
        f"overrides:\n  - {{{entry}, left: {left}, right: t:1}}\n"
        f"  - {{{entry}, left: t:1, right: {right}}}\n"
    )
    done = mainstem("identity", "review", "--author", "jo", said="n\nq\n")
    assert done.exit_code == 0 and "0 decided" in done.output
    assert "contradicts" in done.stderr and done.stdout.count("\n1 of ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs", "--limit", "-1"), "x>=1"),
        (("review", "--limit", "0"), "x>=1"),
        (("review", "--page", "/no/such/x.html"), "/no/such/x.html cannot be written"),
    ],
)
def test_an_option_that_cannot_be_gets_a_sentence(
    arguments: tuple[str, ...], said: str, project: Path
) -> None:
    done = mainstem("identity", *arguments)
    assert done.exit_code and said in done.stderr
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize(
    "content",
    [
        "contact_key,person_id\ncrm:1,Jos\u00e9\n".encode("latin-1"),
        "left_key,right_key,is_match\ncrm:1,Jos\u00e9,yes\n".encode("latin-1"),
        b'contact_key,person_id\ncrm:1,"secret\ncrm:2,b,c,d\n',
        b"left_key,right_key,is_match\ncrm:1\n",
        b"\x00\xff\xfe",
    ],
)
def test_labels_that_are_no_csv_get_a_sentence(
    content: bytes, project: Path, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    done = mainstem("identity", "evaluate", "--labels", str(path))
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1 and f"mainstem: {path}" in done.stderr
    assert "secret" not in done.stderr


def test_charts_are_drawn_without_values(project: Path) -> None:
    assert mainstem("identity", "charts").exit_code == 0
    page = (project / "data" / "charts" / "index.html").read_text()
    assert page.count("<svg") == 5
    assert "ann@lee.org" not in page and "617" not in page
