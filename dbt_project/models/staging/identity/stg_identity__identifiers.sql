select
    node_key,
    identifier_type,
    identifier_value,
    given_value,
    is_verified,
    is_blocked,
    first_seen_at,
    last_seen_at
from {{ source('identity', 'identifiers') }}
