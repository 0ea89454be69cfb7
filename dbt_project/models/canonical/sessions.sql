{{ config(
    materialized='incremental',
    unique_key='session_id',
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': 'int_event_changes'},
    pre_hook="{{ delete_touched('int_event_changes', 'coalesce(anonymous_id, user_id)') }}",
    post_hook="{{ mark_as_read('int_event_changes') }}",
) }}
{%- set of_events = [
    'source_system', 'source_record_id', 'anonymous_id', 'user_id', 'started_at', 'ended_at', 'page_views', 'event_count',
    'landing_url', 'page_referrer', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term',
    'click_id', 'device_type', 'geo_country', 'loaded_at',
] %}
-- depends_on: {{ ref('int_event_changes') }}
-- noqa: disable=LT02
with events as (
    select * from {{ ref('events') }}
    where
        session_id is not null
        {%- if is_incremental() %}
        and {{ touched('int_event_changes') }}
        {%- endif %}
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

-- Campaigns may share a utm_campaign (a weekly newsletter): the one that began last by the day. Asked for
-- each name and day, of which there are few, and not for each session.
landings as (
    select distinct
        lower(utm_campaign) as utm_campaign,
        cast(started_at as date) as date_day
    from summed
    where utm_campaign is not null
    {%- if is_incremental() %}
    union
    select distinct
        lower(utm_campaign) as utm_campaign,
        cast(started_at as date) as date_day
    from {{ this }}
    where utm_campaign is not null
    {%- endif %}
),

of_campaign as (
    select
        landings.utm_campaign,
        landings.date_day,
        {{ first_by('campaigns.campaign_id', 'campaigns.started_on desc nulls last, campaigns.campaign_id') }} as campaign_id
    from landings
    inner join campaigns on landings.utm_campaign = lower(campaigns.utm_campaign)
    where campaigns.started_on is null or campaigns.started_on <= landings.date_day
    group by landings.utm_campaign, landings.date_day
),

{%- if is_incremental() %}

-- Sessions that stand may belong to a campaign that came, or began, only now.
of_others as (
    select standing.session_id
    from {{ this }} as standing
    left join of_campaign
        on lower(standing.utm_campaign) = of_campaign.utm_campaign and cast(standing.started_at as date) = of_campaign.date_day
    where standing.utm_campaign is not null and of_campaign.campaign_id is distinct from standing.campaign_id
),
{%- endif %}

visits as (
    select
        session_id,
        {%- for name in of_events %}
        {{ name }},
        {%- endfor %}
        orders_completed > 0 as has_order
    from summed
    {%- if is_incremental() %}
    union all
    select
        session_id,
        {%- for name in of_events %}
        {{ name }},
        {%- endfor %}
        is_engaged as has_order
    from {{ this }}
    where session_id in (select of_others.session_id from of_others)
    {%- endif %}
)

select
    visits.session_id,
    visits.source_system,
    visits.source_record_id,
    visits.anonymous_id,
    visits.user_id,
    visits.started_at,
    visits.ended_at,
    visits.page_views,
    visits.event_count,
    cast({{ seconds_between('visits.started_at', 'visits.ended_at') }} as bigint) as engaged_seconds,
    (
        {{ seconds_between('visits.started_at', 'visits.ended_at') }} >= 10
        or visits.page_views >= 2
        or visits.has_order
    ) as is_engaged,
    visits.landing_url,
    visits.page_referrer,
    visits.utm_source,
    visits.utm_medium,
    visits.utm_campaign,
    visits.utm_content,
    visits.utm_term,
    visits.click_id,
    visits.channel,
    {{ default_channel_group('visits.channel') }} as default_channel_group,
    of_campaign.campaign_id,
    visits.device_type,
    visits.geo_country,
    visits.loaded_at
from visits
left join of_campaign
    on lower(visits.utm_campaign) = of_campaign.utm_campaign and cast(visits.started_at as date) = of_campaign.date_day
