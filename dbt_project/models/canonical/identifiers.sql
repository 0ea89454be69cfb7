with of_contacts as (
    {{ unpivot_identifiers('contacts', "'{source}:' || source_record_id", 'created_at', 'updated_at') }}
),

summed as (
    select
        node_key,
        identifier_type,
        identifier_value,
        bool_or(is_verified) as is_verified,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from of_contacts
    where node_key is not null and identifier_value <> ''
    group by node_key, identifier_type, identifier_value
)

select
    node_key,
    identifier_type,
    identifier_value,
    is_verified,
    first_seen_at,
    last_seen_at
from summed
union all
select
    node_key,
    identifier_type,
    identifier_value,
    is_verified,
    first_seen_at,
    last_seen_at
from {{ ref('int_visitor_identifiers') }}
