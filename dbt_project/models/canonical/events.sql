{#
  A session is what one visitor does without a pause of `session_minutes`: an event that many minutes
  after the last one, to the second, begins the next. The var `session_splits` can have sessions end at
  midnight (UTC) and at a change of campaign as well.
#}
{{ config(
    materialized='incremental',
    unique_key='event_id',
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': 'int_event_changes'},
    pre_hook="{{ delete_gone('int_event_changes') }}",
    post_hook="{{ mark_as_read('int_event_changes') }}",
) }}
{%- set splits = var('session_splits') %}
{%- set given = [
    'event_id', 'source_system', 'source_record_id', 'event_name', 'event_type', 'event_at', 'received_at', 'anonymous_id',
    'user_id', 'email', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term', 'click_id',
    'page_url', 'page_referrer', 'device_type', 'geo_country', 'geo_region', 'product_id', 'cart_id', 'order_id',
    'quantity', 'unit_price', 'revenue', 'currency', 'properties', 'loaded_at', 'load_id',
] %}
{#- What sessions are told by: of the many events that are only looked at again no more is read. -#}
{%- set told_by = ['event_id', 'source_record_id', 'event_at', 'anonymous_id', 'user_id'] %}
{%- if 'campaign' in splits %}
    {%- do told_by.extend(['utm_source', 'utm_medium', 'utm_campaign', 'click_id']) %}
{%- endif %}
{%- set carried = told_by if is_incremental() else given %}
-- depends_on: {{ ref('int_event_changes') }}
-- noqa: disable=LT02
with arrived as (
    select
        *,
        source_system || ':' || source_record_id as event_id
    from {{ ref('int_events') }}
    {%- if is_incremental() %}
    where {{ arrived('int_event_changes') }}
    {%- endif %}
),

-- Those that came, and all others of the same visitors: theirs may be other sessions now.
events as (
    select
        *,
        coalesce(anonymous_id, user_id) as visitor
        {%- if 'campaign' in splits %},
        coalesce(click_id, utm_source || '|' || coalesce(utm_medium, '') || '|' || coalesce(utm_campaign, '')) as campaign_mark
        {%- endif %}
    from (
        select
            {%- for name in carried %}
            {{ name }},
            {%- endfor %}
            true as is_new,
            cast(null as varchar) as session_before
        from arrived
        {%- if is_incremental() %}
        union all
        select
            {%- for name in carried %}
            {{ name }},
            {%- endfor %}
            false as is_new,
            session_id as session_before
        from {{ this }}
        where {{ touched('int_event_changes') }}
        {%- endif %}
    ) as touched
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

-- A session is named after its first event.
begun as (
    select
        *,
        {{ last_known('case when begins_session = 1 then event_id end', 'visitor', 'event_at, event_id') }} as first_event_id
    from judged
),

named as (
    select
        *,
        case when visitor is not null then 'ses_' || {{ dbt.hash('first_event_id') }} end as session_named
    from begun
)
{%- if is_incremental() %},

moved as (
    select
        event_id,
        source_record_id,
        is_new,
        session_named
    from named
    where is_new or session_named is distinct from session_before
),

-- Looked up by the source's own id, which tells more of itself than the event's (all of one source begin alike).
written as (
    select
        {{ given | join(',\n        ') }},
        true as is_new
    from arrived
    union all
    select
        {{ given | join(',\n        ') }},
        false as is_new
    from {{ this }}
    where source_record_id in (select moved.source_record_id from moved where not moved.is_new)
)

select
    {%- for name in given %}
    written.{{ name }},
    {%- endfor %}
    moved.session_named as session_id
from written
inner join moved on written.event_id = moved.event_id and written.is_new = moved.is_new
{%- else %}

select
    {%- for name in given %}
    {{ name }},
    {%- endfor %}
    session_named as session_id
from named
{%- endif %}
