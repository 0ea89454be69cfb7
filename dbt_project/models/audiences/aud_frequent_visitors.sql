with visits as (
    select
        customer_id,
        max(event_at) as last_visited_at,
        count(distinct cast(event_at as date)) as days
    from {{ ref('int_event_customers') }}
    where event_at > {{ days_before(as_of(), 30) }} and event_at <= {{ as_of() }}
    group by customer_id
)


select
    customers.customer_id,
    visits.days,
    visits.last_visited_at
from {{ ref('golden_customers') }} as customers
inner join visits on customers.customer_id = visits.customer_id
where visits.days >= 2
