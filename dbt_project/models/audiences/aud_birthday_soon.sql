{#- Today is the day in the company's time zone, not in UTC. -#}
{%- set today = local_day(as_of(), var('time_zone')) -%}
with birthdays as (
    select
        customer_id,
        {{ days_to_anniversary('birth_date', today) }} as days_to_birthday
    from {{ ref('golden_customers') }}
    where birth_date < {{ today }}
)

select
    customer_id,
    days_to_birthday
from birthdays
where days_to_birthday <= 14
