with staged as (
    {{ union_sources('ad_spend_daily', derived=['campaign_id']) }}
)

select
    date_day,
    source_system,
    source_record_id,
    platform,
    -- A part of the key that a platform does not report is '', since a key has no nulls.
    coalesce(account_id, '') as account_id,
    coalesce(source_system || ':' || campaign_record_id, '') as campaign_id,
    campaign_record_id,
    coalesce(ad_group_id, '') as ad_group_id,
    coalesce(ad_id, '') as ad_id,
    coalesce(creative_id, '') as creative_id,
    coalesce(placement, '') as placement,
    coalesce(geo, '') as geo,
    coalesce(impressions, 0) as impressions,
    coalesce(clicks, 0) as clicks,
    coalesce(spend, 0) as spend,
    conversions,
    conversions_value,
    currency,
    loaded_at
from staged
