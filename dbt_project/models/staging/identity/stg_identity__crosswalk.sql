select
    node_key,
    customer_id,
    strict_customer_id,
    method,
    confidence,
    node_key like 'anon:%' as is_anonymous
from {{ source('identity', 'crosswalk') }}
