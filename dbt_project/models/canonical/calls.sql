with staged as (
    {{ union_sources('calls', derived=['call_id', 'campaign_id']) }}
)

select
    source_system || ':' || source_record_id as call_id,
    source_system,
    source_record_id,
    phone,
    country_code,
    started_at,
    duration_seconds,
    tracking_number,
    case
        when campaign_record_id is not null then coalesce(campaign_source, source_system) || ':' || campaign_record_id
    end as campaign_id,
    campaign_source,
    campaign_record_id,
    outcome,
    loaded_at
from staged
