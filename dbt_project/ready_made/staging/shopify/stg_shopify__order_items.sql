{{ config(enabled='order_items' in var('sources').get('shopify', [])) }}

with source as (
    {{ landed('shopify', 'order_line') }}
),

orders as (
    {{ landed('shopify', 'order') }}
),

variants as (
    {{ landed('shopify', 'product_variant') }}
),

costs as (
    select
        variants.id as variant_id,
        items.unit_cost_amount as unit_cost
    from variants
    inner join ({{ landed('shopify', 'inventory_item') }}) as items on variants.inventory_item_id = items.id
),

discounts as (
    select
        order_line_id,
        sum(coalesce(amount, allocated_amount_set_shop_amount)) as discount
    from ({{ landed('shopify', 'discount_allocation') }}) as discount_allocation
    group by order_line_id
),

taxes as (
    select
        order_line_id,
        sum(coalesce(price, price_set_shop_amount)) as tax
    from ({{ landed('shopify', 'tax_line') }}) as tax_line
    group by order_line_id
),

lines as (
    select
        source.*,
        coalesce(source.price * source.quantity, source.original_total_set_shop_amount) as gross,
        coalesce(discounts.discount, source.total_discount, source.total_discount_set_shop_amount, 0) as discount,
        case when orders.taxes_included then coalesce(taxes.tax, 0) else 0 end as tax_in_price,
        costs.unit_cost
    from source
    -- Only lines of the orders that are kept: see there.
    inner join {{ ref('stg_shopify__orders') }} as kept on source.order_id = kept.source_record_id
    left join orders on source.order_id = orders.id
    left join discounts on source.id = discounts.order_line_id
    left join taxes on source.id = taxes.order_line_id
    left join costs on source.variant_id = costs.variant_id
),

renamed as (
    select
        id as source_record_id,
        order_id as order_record_id,
        cast(row_number() over (partition by order_id order by index, id) as integer) as line_number,
        coalesce(nullif(sku, ''), variant_id) as product_id,
        title as product_name,
        quantity,
        cast(gross / nullif(quantity, 0) as decimal(18, 2)) as unit_price,
        gross - discount - tax_in_price as net_amount,
        unit_cost,
        _fivetran_synced as loaded_at
    from lines
)

select * from renamed
