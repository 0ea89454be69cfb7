with staged as (
    {{ union_sources('loyalty_memberships', derived=['membership_id', 'contact_key']) }}
)

select
    source_system || ':' || source_record_id as membership_id,
    source_system,
    source_record_id,
    case when contact_record_id is not null then source_system || ':' || contact_record_id end as contact_key,
    contact_record_id,
    tier,
    points,
    joined_on,
    loaded_at
from staged
