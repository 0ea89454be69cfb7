{#
  Which events arrived since `events` was built, and which are gone: staged rows and built rows are
  compared by id and load. The comparison reads `events` as it stands, which is no parent (it is
  built from this); where it is not there yet everything is new, and nothing is written here.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ prune_log('events') }}",
) }}
{%- set events = load_relation(api.Relation.create(database=target.database, schema='canonical', identifier='events')) if execute else none %}
{%- set is_known = events and 'load_id' in adapter.get_columns_in_relation(events) | map(attribute='name') %}
with staged as (
    {{ union_sources('events', derived=['batch', 'change', 'visitor']) }}
),

built as (
    select
        source_system,
        source_record_id,
        anonymous_id,
        user_id,
        loaded_at,
        load_id
    from {{ events if is_known else 'staged' }}
),

{%- set load = ['source_system', "coalesce(load_id, '')", 'coalesce(' ~ dbt.date_trunc('day', 'loaded_at') ~ ", timestamp '1970-01-01')"] %}
-- Loads that brought other rows than are built: most are as they were, and nothing of them is compared.
changed_loads as (
    select
        source_system,
        load_key,
        loaded_on
    from (
        {%- for side in ['staged', 'built'] %}
        select
            {{ load[0] }} as source_system,
            {{ load[1] }} as load_key,
            {{ load[2] }} as loaded_on,
            count(*) as row_count,
            {{ set_hash('source_record_id, loaded_at') }} as ids
        from {{ side }}
        group by {{ load | join(', ') }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as loads
    group by source_system, load_key, loaded_on
    having count(*) = 1 or min(row_count) <> max(row_count) or min(ids) <> max(ids)
),

compared as (
    select
        case when built.source_record_id is null then 'arrived' else 'gone' end as change,
        coalesce(staged.source_system, built.source_system) as source_system,
        coalesce(staged.source_record_id, built.source_record_id) as source_record_id,
        case when built.source_record_id is null then staged.anonymous_id else built.anonymous_id end as anonymous_id,
        case when built.source_record_id is null then staged.user_id else built.user_id end as user_id,
        coalesce(staged.loaded_at, built.loaded_at) as loaded_at,
        coalesce(staged.load_id, built.load_id) as load_id
    from (
        select * from staged
        where ({{ load | join(', ') }}) in (select * from changed_loads)
    ) as staged
    full join (
        select * from built
        where ({{ load | join(', ') }}) in (select * from changed_loads)
    ) as built
        on
            staged.source_record_id = built.source_record_id
            and staged.source_system = built.source_system
            and staged.loaded_at is not distinct from built.loaded_at
            and staged.load_id is not distinct from built.load_id
    where {{ '(staged.source_record_id is null or built.source_record_id is null)' if is_known else 'false' }}
)

select
    {{ next_batch() }} as batch,
    change,
    source_system,
    source_record_id,
    coalesce(anonymous_id, user_id) as visitor,
    anonymous_id,
    user_id,
    loaded_at,
    load_id
from compared
