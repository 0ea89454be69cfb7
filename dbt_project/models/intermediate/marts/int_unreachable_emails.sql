with email_events as (
    select
        lower(trim(email)) as email,
        event_type,
        event_at
    from {{ ref('email_events') }}
    where event_at <= {{ as_of() }} and email is not null
),

judged as (
    select
        email,
        max(case when event_type = 'bounce' then event_at end) as bounced_at,
        max(case when event_type in ('delivered', 'open', 'click') then event_at end) as reached_at
    from email_events
    group by email
)

select
    email,
    bounced_at
from judged
where bounced_at is not null and (reached_at is null or reached_at < bounced_at)
