with staged as (
    {{ union_sources('device_events', derived=['device_event_id', 'contact_key']) }}
)

select
    source_system || ':' || source_record_id as device_event_id,
    source_system,
    source_record_id,
    device_id,
    case when contact_record_id is not null then source_system || ':' || contact_record_id end as contact_key,
    contact_record_id,
    event_name,
    event_at,
    properties,
    loaded_at
from staged
