{{ config(
    materialized='incremental',
    unique_key='node_key',
    incremental_strategy='delete+insert',
    meta={'log': 'int_event_changes'},
    pre_hook="{{ delete_touched('int_event_changes', 'substr(node_key, 6)') }}",
    post_hook="{{ mark_as_read('int_event_changes') }}",
) }}
-- depends_on: {{ ref('int_event_changes') }}
-- noqa: disable=LT02
with events as (
    select * from {{ ref('events') }}
    where
        anonymous_id is not null
        {%- if is_incremental() %}
        and {{ touched('int_event_changes') }}
        {%- endif %}
),

given as (
    {{ unpivot_event_identifiers('events') }}
)

select
    node_key,
    cast(identifier_type as varchar) as identifier_type,
    identifier_value,
    bool_or(is_verified) as is_verified,
    min(event_at) as first_seen_at,
    max(event_at) as last_seen_at
from given
where identifier_value <> ''
group by node_key, identifier_type, identifier_value
