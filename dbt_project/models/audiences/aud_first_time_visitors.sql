select
    customer_id,
    first_event_at as first_visited_at,
    last_event_at as last_visited_at
from {{ ref('customer_engagement') }}
where first_event_at > {{ days_before(as_of(), 7) }}
