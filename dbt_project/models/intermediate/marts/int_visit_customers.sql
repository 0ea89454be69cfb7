{# Whose visit it was, as in int_event_customers; up to the day of `as_of`, and of that day what had
   happened by then: events up to `as_of`, summed. #}
with visits as (
    select * from {{ ref('int_visits') }}
    where date_day < cast({{ as_of() }} as date)
),

logins as (
    select * from {{ ref('int_login_customers') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

today as (
    select * from {{ ref('int_event_customers') }}
    where event_at >= cast(cast({{ as_of() }} as date) as timestamp) and event_at <= {{ as_of() }} and session_id is not null
)

select
    coalesce(logins.customer_id, crosswalk.customer_id) as customer_id,
    visits.session_id,
    visits.channel,
    visits.device_type,
    visits.event_count,
    visits.first_event_at,
    visits.last_event_at,
    visits.last_event_id
from visits
left join logins on lower(trim(visits.user_id)) = logins.login
left join crosswalk on 'anon:' || visits.anonymous_id = crosswalk.node_key
union all
select
    customer_id,
    session_id,
    channel,
    device_type,
    1 as event_count,
    event_at as first_event_at,
    event_at as last_event_at,
    event_id as last_event_id
from today
