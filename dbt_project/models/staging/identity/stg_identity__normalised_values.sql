select
    identifier_type,
    given_value,
    identifier_value,
    is_only_reading
from {{ source('identity', 'normalised_values') }}
