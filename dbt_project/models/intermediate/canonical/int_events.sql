with staged as (
    {{ union_sources('events') }}
),

clicked as (
    select
        *,
        {{ url_parameter('page_url', ad_click_parameters()) }} as click_id
    from staged
)

select
    *,
    {{ marketing_channel('utm_source', 'utm_medium', 'page_referrer', 'click_id') }} as channel
from clicked
