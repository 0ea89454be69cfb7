{# Whose visit it was, as in int_event_customers. Visits up to the day of `as_of`, and of that day what had
   happened by then, event by event. #}
{%- set kept = ['session_id', 'anonymous_id', 'user_id', 'channel', 'device_type'] %}
with today as (
    select
        {{ kept | join(',\n        ') }},
        cast(1 as bigint) as event_count,
        event_at as first_event_at,
        event_at as last_event_at,
        event_id as last_event_id
    from {{ ref('events') }}
    where
        session_id is not null
        and event_at >= cast(cast({{ as_of() }} as date) as timestamp)
        and event_at <= {{ as_of() }}
),

visits as (
    select
        {{ kept | join(',\n        ') }},
        event_count,
        first_event_at,
        last_event_at,
        last_event_id,
        visit_hash
    from {{ ref('int_visits') }}
    where date_day < cast({{ as_of() }} as date)
    union all
    select
        *,
        {{ visit_hash() }} as visit_hash
    from today
),

logins as (
    select * from {{ ref('int_login_customers') }}
),

shared_devices as (
    select * from {{ ref('int_shared_devices') }}
),

visitors as (
    {{ visitors() }}
)

select
    coalesce(logins.customer_id, shared_devices.customer_id, visitors.customer_id) as customer_id,
    visits.session_id,
    visits.channel,
    visits.device_type,
    visits.event_count,
    visits.first_event_at,
    visits.last_event_at,
    visits.last_event_id,
    visits.visit_hash
from visits
left join logins on lower(trim(visits.user_id)) = logins.login_id
left join shared_devices
    on visits.anonymous_id = shared_devices.anonymous_id and {{ is_while('visits.first_event_at', 'shared_devices') }}
left join visitors on visits.anonymous_id = visitors.anonymous_id
