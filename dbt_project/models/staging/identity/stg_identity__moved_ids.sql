select
    customer_id,
    current_customer_id
from {{ source('identity', 'moved_ids') }}
