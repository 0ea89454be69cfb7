with staged as (
    {{ union_sources('support_tickets', derived=['ticket_id', 'contact_key']) }}
)

select
    source_system || ':' || source_record_id as ticket_id,
    source_system,
    source_record_id,
    case when contact_record_id is not null then source_system || ':' || contact_record_id end as contact_key,
    contact_record_id,
    created_at,
    resolved_at,
    channel,
    category,
    priority,
    status,
    csat_score,
    loaded_at
from staged
