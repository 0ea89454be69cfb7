{# What each customer did on web and app, of all time up to `as_of`. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_customer_changes'},
    pre_hook="{{ delete_changed('int_customer_changes', 'customer_id') }}",
    post_hook="{{ mark_as_read('int_customer_changes') }}",
) }}
-- depends_on: {{ ref('int_customer_changes') }}
-- noqa: disable=LT02
with visits as (
    select * from {{ ref('int_visit_customers') }}
    where
        customer_id is not null
        {%- if is_incremental() %}
        and {{ changed('int_customer_changes', 'customer_id') }}
        {%- endif %}
),

on_site as (
    {%- set device = 'case when device_type is null then 1 else 0 end, last_event_at desc, last_event_id' %}
    select
        customer_id,
        count(distinct session_id) as session_count,
        sum(event_count) as event_count,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at,
        {{ first_by('channel', 'last_event_at desc, last_event_id') }} as last_channel,
        {{ first_by('device_type', device) }} as device_type
    from visits
    group by customer_id
),

by_channel as (
    select
        customer_id,
        channel,
        sum(event_count) as event_count
    from visits
    group by customer_id, channel
),

preferred as (
    select
        customer_id,
        {{ first_by('channel', 'event_count desc, channel') }} as preferred_channel
    from by_channel
    group by customer_id
)

select
    on_site.customer_id,
    on_site.session_count,
    cast(on_site.event_count as bigint) as event_count,
    on_site.first_event_at,
    on_site.last_event_at,
    on_site.last_channel,
    preferred.preferred_channel,
    on_site.device_type
from on_site
inner join preferred on on_site.customer_id = preferred.customer_id
