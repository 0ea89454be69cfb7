{# Events summed so far that what is asked of all of them, over all time, costs a fraction of them. A sum
   by day, since figures are asked for as of a moment; whose visit it was is found out later, since
   that changes. #}
{{ config(
    materialized='incremental',
    unique_key='session_id',
    incremental_strategy='delete+insert',
    meta={'log': 'int_event_changes'},
    pre_hook="{{ delete_touched('int_event_changes', 'coalesce(anonymous_id, user_id)') }}",
    post_hook="{{ mark_as_read('int_event_changes') }}",
) }}
-- depends_on: {{ ref('int_event_changes') }}
-- noqa: disable=LT02
with events as (
    select
        *,
        cast(event_at as date) as date_day
    from {{ ref('events') }}
    where
        session_id is not null
        {%- if is_incremental() %}
        and {{ touched('int_event_changes') }}
        {%- endif %}
),

summed as (
    select
        session_id,
        anonymous_id,
        user_id,
        channel,
        device_type,
        date_day,
        count(*) as event_count,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        {{ first_by('event_id', 'event_at desc, event_id') }} as last_event_id
    from events
    group by session_id, anonymous_id, user_id, channel, device_type, date_day
)

select
    *,
    {{ visit_hash() }} as visit_hash
from summed
