select
    history_id,
    event,
    node_key,
    from_customer_id,
    to_customer_id,
    reason,
    changed_at
from {{ source('identity', 'history') }}
