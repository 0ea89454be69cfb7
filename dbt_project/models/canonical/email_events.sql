with staged as (
    {{ union_sources('email_events', derived=['email_event_id', 'campaign_id']) }}
)

select
    source_system || ':' || source_record_id as email_event_id,
    source_system,
    source_record_id,
    message_id,
    case when campaign_record_id is not null then source_system || ':' || campaign_record_id end as campaign_id,
    campaign_record_id,
    email,
    event_type,
    event_at,
    link_url,
    coalesce(is_machine_open, false) as is_machine_open,
    loaded_at
from staged
