with spend as (
    select * from {{ ref('ad_spend_daily') }}
    where date_day <= cast({{ as_of() }} as date)
),

campaigns as (
    select * from {{ ref('campaigns') }}
),

rates as (
    select * from {{ ref('exchange_rates') }}
),

reporting as (
    select * from rates
    where currency = '{{ var("reporting_currency") }}'
),

converted as (
    select
        spend.date_day,
        spend.platform,
        spend.campaign_id,
        campaigns.campaign_name,
        coalesce(campaigns.channel, spend.platform) as channel,
        spend.impressions,
        spend.clicks,
        {{ in_reporting_currency('spend.spend', 'spend.currency', 'rates', 'reporting') }} as spend,
        {{ in_reporting_currency('coalesce(spend.conversions_value, 0)', 'spend.currency', 'rates', 'reporting') }} as reported_revenue
    from spend
    left join campaigns on spend.campaign_id = campaigns.campaign_id
    left join rates on spend.currency = rates.currency and {{ holds_on('rates', 'spend.date_day') }}
    left join reporting on {{ holds_on('reporting', 'spend.date_day') }}
)

select
    date_day,
    platform,
    campaign_id,
    campaign_name,
    channel,
    cast(sum(impressions) as bigint) as impressions,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(spend) as decimal(18, 2)) as spend,
    cast(sum(reported_revenue) as decimal(18, 2)) as reported_revenue
from converted
group by date_day, platform, campaign_id, campaign_name, channel
