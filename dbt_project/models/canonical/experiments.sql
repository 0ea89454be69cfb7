{# The experiments that the YAML declares, one row each; nothing but the declaration is read. Without
   a parent Dagster would build it in a part of its own, and start dbt once more. #}
-- depends_on: {{ ref('contacts') }}
{% do check_experiments() %}
{% set audiences = audiences_by_experiment() %}
-- noqa: disable=LT02
with declared as (
    {%- for experiment in declared_experiments() %}
    {%- set under = audiences.get(experiment.experiment_id, []) %}
    select
        '{{ experiment.experiment_id }}' as experiment_id,
        {{ text_literal(experiment.name or experiment.experiment_id) }} as name,
        '{{ experiment.kind or "audience_holdout" }}' as kind,
        {{ text_literal(under[0] if under | length == 1 else none) }} as audience_id,
        '{{ experiment.unit or "customer" }}' as unit,
        {{ text_literal(experiment.salt) }} as salt,
        {{ experiment.control_share }} as control_share,
        {{ text_literal(experiment.primary_metric) }} as primary_metric,
        cast('{{ experiment.started_on }}' as date) as started_on,
        cast({{ text_literal(experiment.ended_on) }} as date) as ended_on
        {{ 'union all' if not loop.last }}
    {%- else %}
    select
        null as experiment_id,
        null as name,
        null as kind,
        null as audience_id,
        null as unit,
        null as salt,
        null as control_share,
        null as primary_metric,
        cast(null as date) as started_on,
        cast(null as date) as ended_on
    where false
    {%- endfor %}
)

select
    cast(experiment_id as varchar) as experiment_id,
    'experiments.yml' as source_system,
    cast(experiment_id as varchar) as source_record_id,
    cast(name as varchar) as name,
    cast(kind as varchar) as kind,
    cast(audience_id as varchar) as audience_id,
    cast(unit as varchar) as unit,
    cast(salt as varchar) as salt,
    cast(control_share as double) as control_share,
    cast(primary_metric as varchar) as primary_metric,
    started_on,
    ended_on,
    -- Half-open: it ends as the day `ended_on` begins.
    started_on <= {{ as_of() }} and (ended_on is null or {{ as_of() }} < ended_on) as is_running
from declared
