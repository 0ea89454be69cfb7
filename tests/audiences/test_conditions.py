"""Conditions in YAML: what SQL they become, that it selects what they say, and what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audiences import conditions, models

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "customer_360": {
        "customer_id": "varchar", "revenue": "decimal(18,2)", "order_count": "bigint",
        "last_order_at": "timestamp", "country_code": "varchar", "consent_email": "boolean",
    },
    "golden_customers": {"customer_id": "varchar", "email": "varchar", "birth_date": "date"},
    "int_order_customers": {"customer_id": "varchar", "channel": "varchar", "ordered_at": "timestamp"},
    "int_event_customers": {"customer_id": "varchar", "event_name": "varchar", "event_at": "timestamp"},
    "int_email_event_customers": {"customer_id": "varchar", "event_type": "varchar"},
}  # fmt: skip
HEAD = {"description": "Some.", "owner": "somebody", "consent_purpose": "marketing"}


def declare(folder: Path, declared: Any, name: str = "some") -> conditions.Audience:
    path = folder / "audiences" / f"{name}.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(declared if isinstance(declared, str) else yaml.safe_dump(declared), "utf-8")
    return conditions.read(path, folder, COLUMNS)


def test_as_sql(tmp_path: Path) -> None:
    audience = declare(
        tmp_path,
        HEAD
        | {
            "select": ["revenue", "email"],
            "all": [
                {"attribute": "revenue", "operator": ">=", "value": 250},
                {"attribute": "country_code", "operator": "in", "value": ["DE", "AT"]},
                {"any": [
                    {"attribute": "email", "operator": "contains", "value": "o'hara"},
                    {"attribute": "last_order_at", "operator": "within_last_days", "value": 30},
                ]},
            ],
            "none": [
                {"count": "orders", "where": {"channel": "store"}, "within_days": 90,
                 "operator": "at_least", "value": 2},
            ],
        },
    )  # fmt: skip
    assert models.sql(audience) == (
        """-- Written from audiences/some.yml: change that file, then `mainstem audience compile`.
with counted_1 as (
    select
        customer_id,
        count(*) as times
    from {{ ref('int_order_customers') }}
    where
        status <> 'cancelled'
        and channel = 'store'
        and ordered_at > {{ days_before(as_of(), 90) }}
        and ordered_at <= {{ as_of() }}
    group by customer_id
)

select
    customer.customer_id,
    customer.revenue,
    golden.email
from {{ ref('customer_360') }} as customer
inner join {{ ref('golden_customers') }} as golden on customer.customer_id = golden.customer_id
left join counted_1 on customer.customer_id = counted_1.customer_id
where
    customer.revenue >= 250
    and customer.country_code in ('DE', 'AT')
    and (position('o''hara' in golden.email) > 0 or (customer.last_order_at > {{ days_before(as_of(), 30) }}"""
        """ and customer.last_order_at <= {{ as_of() }}))
    and not coalesce(coalesce(counted_1.times, 0) >= 2, false)
"""
    )


ROWS = [
    {"customer_id": f"c{n}", "revenue": r, "country_code": c}
    for n, (r, c) in enumerate((r, c) for r in (None, 0, 99.5, 250) for c in (None, "DE", "AT"))
]
ATOM = st.one_of(
    st.fixed_dictionaries(
        {
            "attribute": st.just("revenue"),
            "operator": st.sampled_from(["more_than", "at_least", "less_than", "at_most", "is", "is_not"]),
            "value": st.sampled_from([0, 99.5, 250]),
        }
    ),
    st.fixed_dictionaries(
        {
            "attribute": st.just("country_code"),
            "operator": st.sampled_from(["in", "not_in"]),
            "value": st.lists(st.sampled_from(["DE", "AT", "FR"]), min_size=1, unique=True),
        }
    ),
    st.fixed_dictionaries(
        {
            "attribute": st.sampled_from(["revenue", "country_code"]),
            "operator": st.sampled_from(["is_known", "is_unknown"]),
        }
    ),
)  # fmt: skip
CONDITION = st.recursive(
    ATOM,
    lambda inner: st.dictionaries(
        st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=6,
)  # fmt: skip


def holds(condition: dict[str, Any], row: dict[str, Any]) -> bool:
    """The rules said once more. What is not known is no value: it is in no list and no comparison."""
    if "attribute" not in condition:
        each = {kind: [holds(one, row) for one in members] for kind, members in condition.items()}
        return (
            all(each.get("all", [True])) and any(each.get("any", [True])) and not any(each.get("none", []))
        )  # fmt: skip
    value, wanted = row[condition["attribute"]], condition.get("value")
    operator = condition["operator"]
    known = value is not None
    answers = {
        "is": lambda: known and value == wanted,
        "is_not": lambda: value != wanted,
        "more_than": lambda: known and value > wanted,
        "at_least": lambda: known and value >= wanted,
        "less_than": lambda: known and value < wanted,
        "at_most": lambda: known and value <= wanted,
        "in": lambda: known and value in wanted,
        "not_in": lambda: value not in wanted,
        "is_known": lambda: known,
        "is_unknown": lambda: not known,
    }
    return bool(answers[operator]())


@settings(max_examples=60, deadline=None)
@given(condition=st.lists(CONDITION, min_size=1, max_size=3))
def test_the_sql_selects_what_the_conditions_say(
    tmp_path_factory: pytest.TempPathFactory, condition: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("declared")
    audience = declare(folder, {**HEAD, "all": condition})
    sql = re.sub(r"\{\{ ref\('(\w+)'\) \}\}", r"\1", models.sql(audience))
    with duckdb.connect() as con:
        con.execute(
            "create table customer_360 (customer_id varchar, revenue double, country_code varchar)"
        )
        con.executemany(
            "insert into customer_360 values (?, ?, ?)", [list(row.values()) for row in ROWS]
        )
        selected = {row[0] for row in con.execute(sql).fetchall()}
    assert selected == {row["customer_id"] for row in ROWS if holds({"all": condition}, row)}


ONE = {"attribute": "revenue", "operator": "at_least", "value": 1}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({**HEAD, "all": [{**ONE, "attribute": "revenu"}]},
         "all[0].attribute: a customer has no attribute revenu; did you mean revenue?"),
        ({**HEAD, "all": [ONE, {**ONE, "operator": "atleast"}]},
         "all[1].operator: unknown operator atleast; did you mean at_least?"),
        ({**HEAD, "any": [{"none": [{**ONE, "value": "lots"}]}]},
         "any[0].none[0].value: 'lots' does not fit (revenue is decimal(18,2))"),
        ({**HEAD, "all": [{**ONE, "valeu": 2}]}, "all[0].valeu: unknown key; did you mean value?"),
        ({**HEAD, "all": [{"attribute": "country_code", "operator": "is", "value": False}]},
         "all[0].value: False does not fit (country_code is varchar); put it into quotes"),
        ({**HEAD, "all": [{"attribute": "country_code", "operator": "is", "value": "{{ env_var('X') }}"}]},
         "all[0].value: braces of a template are not allowed"),
        ({**HEAD, "all": [{"attribute": "revenue", "operator": "within_last_days", "value": 3}]},
         "all[0].operator: revenue is no date"),
        ({**HEAD, "all": [{"attribute": "last_order_at", "operator": "more_than", "value": "soon"}]},
         "all[0].value: 'soon' is no date such as 2026-07-01"),
        ({**HEAD, "all": [{"count": "order", "operator": "is", "value": 1}]},
         "all[0].count: nothing counts order; did you mean orders?"),
        ({**HEAD, "all": [{"count": "orders", "where": {"chanel": "x"}, "operator": "is", "value": 1}]},
         "all[0].where.chanel: orders have no column chanel; did you mean channel?"),
        ({**HEAD, "all": [{"count": "orders", "operator": "is", "value": 1, "within_days": "many"}]},
         "all[0].within_days: 'many' is no whole number"),
        ({**HEAD, "all": []}, "all: is no list of conditions"),
        (HEAD, "all: is missing"),
        ({"all": [ONE]}, "description: is missing"),
        ({**HEAD, "all": [ONE], "max_size": "big"}, "max_size: 'big' is no number of customers"),
        ({**HEAD, "al": [ONE]}, "al: unknown key; did you mean all?"),
        ("all: [", "some.yml:1: this is not readable YAML"),
        ("- 1", "this is no mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, declared: Any, message: str) -> None:
    with pytest.raises(conditions.ConditionError) as error:
        declare(tmp_path, declared)
    assert message in str(error.value)
    assert str(error.value).startswith("audiences/some.yml")


def test_a_wrong_declaration_takes_nothing_down_and_a_deleted_one_its_model(tmp_path: Path) -> None:
    for name in conditions.PROFILES:
        (tmp_path / "models").mkdir(exist_ok=True)
        listed = [{"name": column, "data_type": kind} for column, kind in COLUMNS[name].items()]
        (tmp_path / "models" / f"{name}.yml").write_text(
            yaml.safe_dump({"models": [{"name": name, "columns": listed}]}), "utf-8"
        )
    declare(tmp_path, {**HEAD, "all": [ONE]}, "good")
    declare(tmp_path, {**HEAD, "all": [ONE]}, "fine")
    assert len(models.write(tmp_path).changed) == 4
    kept = (tmp_path / models.WRITTEN / "aud_good.sql").read_text("utf-8")
    (tmp_path / "audiences" / "good.yml").write_text("all: [{attribute: nothing}]", "utf-8")
    (tmp_path / "audiences" / "fine.yml").unlink()
    mine = tmp_path / models.WRITTEN / "aud_mine.sql"
    mine.write_text("select 1 as customer_id", "utf-8")
    written = models.write(tmp_path)
    assert [problem.partition(":")[0] for problem in written.problems] == ["audiences/good.yml"]
    assert (tmp_path / models.WRITTEN / "aud_good.sql").read_text("utf-8") == kept
    assert not (tmp_path / models.WRITTEN / "aud_fine.sql").exists()
    assert mine.exists()
    assert models.write(tmp_path).changed == ()


def test_what_is_in_git_is_what_is_declared() -> None:
    project = ROOT / "dbt_project"
    columns = conditions.columns_of(project)
    declared = sorted((project / models.DECLARATIONS).glob("*.yml"))
    assert declared
    for path in declared:
        audience = conditions.read(path, project, columns)
        written = project / models.WRITTEN / f"aud_{audience.name}"
        assert written.with_suffix(".sql").read_text("utf-8") == models.sql(audience)
        assert written.with_suffix(".yml").read_text("utf-8") == models.properties(audience)
