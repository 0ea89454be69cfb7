{#
  A session is what one visitor does without a pause of `session_minutes`: an event that many minutes
  after the last one, to the second, begins the next. The var `session_splits` can have sessions end at
  midnight (UTC) and at a change of campaign as well.
#}
{%- set splits = var('session_splits') %}
-- noqa: disable=LT02
with events as (
    select
        *,
        source_system || ':' || source_record_id as event_id,
        coalesce(anonymous_id, user_id) as visitor,
        coalesce(click_id, utm_source || '|' || coalesce(utm_medium, '') || '|' || coalesce(utm_campaign, '')) as campaign_mark
    from {{ ref('int_events') }}
),

followed as (
    select
        *,
        lag(event_at) over (partition by visitor order by event_at, event_id) as previous_at
        {%- if 'campaign' in splits %},
        {{ last_known_before('campaign_mark', 'visitor', 'event_at, event_id') }} as previous_mark
        {%- endif %}
    from events
),

judged as (
    select
        *,
        case
            when previous_at is null then 1
            when {{ seconds_between('previous_at', 'event_at') }} >= {{ var('session_minutes') * 60 }} then 1
            {%- if 'midnight' in splits %}
            when cast(event_at as date) <> cast(previous_at as date) then 1
            {%- endif %}
            {%- if 'campaign' in splits %}
            when campaign_mark is not null and (previous_mark is null or campaign_mark <> previous_mark) then 1
            {%- endif %}
            else 0
        end as begins_session
    from followed
),

numbered as (
    select
        *,
        sum(begins_session) over (
            partition by visitor order by event_at, event_id rows between unbounded preceding and current row
        ) as session_number
    from judged
),

-- A session is named after its first event.
sessions as (
    select
        visitor,
        session_number,
        'ses_' || {{ dbt.hash('event_id') }} as session_id
    from numbered
    where begins_session = 1 and visitor is not null
)

select
    numbered.event_id,
    numbered.source_system,
    numbered.source_record_id,
    numbered.event_name,
    numbered.event_type,
    numbered.event_at,
    numbered.received_at,
    numbered.anonymous_id,
    numbered.user_id,
    sessions.session_id,
    numbered.channel,
    numbered.utm_source,
    numbered.utm_medium,
    numbered.utm_campaign,
    numbered.utm_content,
    numbered.utm_term,
    numbered.click_id,
    numbered.page_url,
    numbered.page_referrer,
    numbered.device_type,
    numbered.geo_country,
    numbered.geo_region,
    numbered.product_id,
    numbered.cart_id,
    numbered.order_id,
    numbered.quantity,
    numbered.unit_price,
    numbered.revenue,
    numbered.currency,
    numbered.properties,
    numbered.loaded_at
from numbered
left join sessions
    on
        numbered.visitor = sessions.visitor
        and numbered.session_number = sessions.session_number
