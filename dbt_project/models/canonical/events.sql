with staged as (
    {{ union_sources('events', derived=['event_id', 'session_id', 'channel', 'click_id']) }}
)

select
    source_system || ':' || source_record_id as event_id,
    source_system,
    source_record_id,
    event_name,
    event_type,
    event_at,
    received_at,
    anonymous_id,
    user_id,
    cast(null as varchar) as session_id,
    case
        when utm_medium in ('email', 'newsletter') then 'email'
        when utm_medium in ('cpc', 'ppc', 'paid', 'paidsocial', 'display') then 'paid'
        when utm_medium is not null then utm_medium
        when page_referrer is not null then 'referral'
        else 'direct'
    end as channel,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_content,
    utm_term,
    cast(null as varchar) as click_id,
    page_url,
    page_referrer,
    device_type,
    geo_country,
    geo_region,
    product_id,
    cart_id,
    order_id,
    quantity,
    unit_price,
    revenue,
    currency,
    properties,
    loaded_at
from staged
