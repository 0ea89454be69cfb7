with events as (
    select * from {{ ref('events') }}
    where session_id is not null
),

campaigns as (
    select * from {{ ref('campaigns') }}
),

summed as (
    {%- set entry = "case when coalesce(utm_source, utm_medium, utm_campaign, click_id) is null then 1 else 0 end, event_at, event_id" %}
    {%- set landing = "case when page_url is null then 1 else 0 end, event_at, event_id" %}
    select
        session_id,
        min(source_system) as source_system,
        {{ first_by('source_record_id', 'event_at, event_id') }} as source_record_id,
        {{ first_by('anonymous_id', 'event_at, event_id') }} as anonymous_id,
        {{ first_by('user_id', 'case when user_id is null then 1 else 0 end, event_at desc, event_id') }} as user_id,
        min(event_at) as started_at,
        max(event_at) as ended_at,
        count(case when event_type in ('page', 'screen') then 1 end) as page_views,
        count(*) as event_count,
        count(case when event_name = 'Order Completed' then 1 end) as orders_completed,
        {{ first_by('page_url', landing) }} as landing_url,
        {{ first_by('page_referrer', landing) }} as page_referrer,
        {{ first_by('channel', entry) }} as channel,
        {{ first_by('utm_source', entry) }} as utm_source,
        {{ first_by('utm_medium', entry) }} as utm_medium,
        {{ first_by('utm_campaign', entry) }} as utm_campaign,
        {{ first_by('utm_content', entry) }} as utm_content,
        {{ first_by('utm_term', entry) }} as utm_term,
        {{ first_by('click_id', entry) }} as click_id,
        {{ first_by('device_type', 'case when device_type is null then 1 else 0 end, event_at, event_id') }} as device_type,
        {{ first_by('geo_country', 'case when geo_country is null then 1 else 0 end, event_at, event_id') }} as geo_country,
        max(loaded_at) as loaded_at
    from events
    group by session_id
),

-- Campaigns may share a utm_campaign (a weekly newsletter): the one that began last by then.
of_campaign as (
    select
        summed.session_id,
        {{ first_by('campaigns.campaign_id', 'campaigns.started_on desc nulls last, campaigns.campaign_id') }} as campaign_id
    from summed
    inner join campaigns on lower(summed.utm_campaign) = lower(campaigns.utm_campaign)
    where campaigns.started_on is null or campaigns.started_on <= cast(summed.started_at as date)
    group by summed.session_id
)

select
    summed.session_id,
    summed.source_system,
    summed.source_record_id,
    summed.anonymous_id,
    summed.user_id,
    summed.started_at,
    summed.ended_at,
    summed.page_views,
    summed.event_count,
    cast({{ seconds_between('summed.started_at', 'summed.ended_at') }} as bigint) as engaged_seconds,
    (
        {{ seconds_between('summed.started_at', 'summed.ended_at') }} >= 10
        or summed.page_views >= 2
        or summed.orders_completed > 0
    ) as is_engaged,
    summed.landing_url,
    summed.page_referrer,
    summed.utm_source,
    summed.utm_medium,
    summed.utm_campaign,
    summed.utm_content,
    summed.utm_term,
    summed.click_id,
    summed.channel,
    {{ default_channel_group('summed.channel') }} as default_channel_group,
    of_campaign.campaign_id,
    summed.device_type,
    summed.geo_country,
    summed.loaded_at
from summed
left join of_campaign on summed.session_id = of_campaign.session_id
