with days as (
    {{ date_spine(var('first_day'), as_of()) }}
)

select cast(date_day as date) as date_day
from days
