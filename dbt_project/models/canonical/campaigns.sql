with staged as (
    {{ union_sources('campaigns', derived=['campaign_id']) }}
)

select
    source_system || ':' || source_record_id as campaign_id,
    source_system,
    source_record_id,
    platform,
    account_id,
    campaign_name,
    channel,
    objective,
    utm_campaign,
    started_on,
    ended_on,
    loaded_at
from staged
