{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_cart_changes'},
    pre_hook="{{ delete_changed('int_cart_changes', 'cart_id') }}",
    post_hook="{{ mark_as_read('int_cart_changes') }}",
) }}
-- depends_on: {{ ref('int_cart_changes') }}
-- noqa: disable=LT02
with activity as (
    select * from {{ ref('int_cart_activity') }}
    where
        product_id is not null
        and event_name in ('Product Added', 'Product Removed')
        {%- if is_incremental() %}
        and {{ changed('int_cart_changes', 'cart_id') }}
        {%- endif %}
),

counted as (
    select
        cart_id,
        product_id,
        sum(case when event_name = 'Product Added' then quantity else -quantity end) as quantity,
        {{ first_by('unit_price', 'event_at desc, event_id') }} as unit_price
    from activity
    group by cart_id, product_id
)

select
    cart_id,
    product_id,
    cast(quantity as integer) as quantity,
    unit_price
from counted
where quantity > 0
