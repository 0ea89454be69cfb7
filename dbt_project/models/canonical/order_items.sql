{{ config(
    materialized='incremental',
    unique_key=['source_system', 'source_record_id'],
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': ['int_order_item_changes', 'int_order_changes']},
    pre_hook=[
        "{{ delete_gone('int_order_item_changes') }}",
        "{{ delete_gone('int_order_changes', 'order_record_id', sources_in_parts('order_items', 'orders')) }}",
    ],
    post_hook=["{{ mark_as_read('int_order_item_changes') }}", "{{ mark_as_read('int_order_changes') }}"],
) }}
{#- After orders, since what they have not read may be void. -#}
{%- set parts = sources_in_parts('order_items', 'orders') %}
-- depends_on: {{ ref('int_order_item_changes') }}
-- depends_on: {{ ref('int_order_changes') }}
-- depends_on: {{ ref('orders') }}
with lines as (
    {{ union_sources('order_items', derived=['order_id'], apart=parts) }}
),

lines_of_orders as (
    {{ union_sources('order_items', derived=['order_id'], only=parts) }}
),

staged as (
    select * from lines
    {%- if is_incremental() %}
    where {{ arrived('int_order_item_changes') }}
    {%- endif %}
    union all
    select * from lines_of_orders
    {%- if is_incremental() %}
    where {{ arrived('int_order_changes', 'order_record_id') }}
    {%- endif %}
)

select
    source_system || ':' || order_record_id as order_id,
    line_number,
    source_system,
    source_record_id,
    order_record_id,
    product_id,
    product_name,
    category,
    quantity,
    unit_price,
    net_amount,
    unit_cost,
    loaded_at,
    load_id
from staged
