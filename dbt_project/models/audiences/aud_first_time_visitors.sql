with visits as (
    select
        customer_id,
        min(event_at) as first_visited_at,
        max(event_at) as last_visited_at
    from {{ ref('int_event_customers') }}
    where event_at <= {{ as_of() }}
    group by customer_id
)


select
    customers.customer_id,
    visits.first_visited_at,
    visits.last_visited_at
from {{ ref('golden_customers') }} as customers
inner join visits on customers.customer_id = visits.customer_id
where visits.first_visited_at > {{ days_before(as_of(), 7) }}
