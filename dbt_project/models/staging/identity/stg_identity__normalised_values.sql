select
    identifier_type,
    given_value,
    identifier_value
from {{ source('identity', 'normalised_values') }}
