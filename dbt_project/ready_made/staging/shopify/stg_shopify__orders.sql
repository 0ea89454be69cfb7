{{ config(enabled='orders' in var('sources').get('shopify', [])) }}

with source as (
    {{ landed('shopify', 'order') }}
),

codes as (
    select
        order_id,
        min(case when place = 1 then code end) as coupon_code
    from (
        select
            order_id,
            code,
            row_number() over (partition by order_id order by index, code) as place
        from ({{ landed('shopify', 'order_discount_code') }}) as order_discount_code
    ) as placed
    group by order_id
),

refunds as (
    {{ landed('shopify', 'refund') }}
),

returned as (
    select
        refunds.order_id,
        sum(coalesce(lines.subtotal, lines.subtotal_set_shop_amount, 0)) as goods,
        sum(coalesce(lines.total_tax, lines.total_tax_set_shop_amount, 0)) as goods_tax
    from ({{ landed('shopify', 'order_line_refund') }}) as lines
    inner join refunds on lines.refund_id = refunds.id
    group by refunds.order_id
),

-- Money given back without goods (or goods taken back for less): what goes to the customer is negative.
adjusted as (
    select
        refunds.order_id,
        -sum(coalesce(adjustments.amount, adjustments.amount_set_shop_amount, 0)) as credited
    from ({{ landed('shopify', 'order_adjustment') }}) as adjustments
    inner join refunds on adjustments.refund_id = refunds.id
    where coalesce(adjustments.kind, 'refund_discrepancy') = 'refund_discrepancy'
    group by refunds.order_id
),

-- The older connector's columns and the newer one's, whichever are there.
amounts as (
    select
        *,
        coalesce(subtotal_price, subtotal_price_set_shop_amount) as subtotal,
        coalesce(total_discounts, total_discounts_set_shop_amount, 0) as discounts,
        coalesce(total_tax, total_tax_set_shop_amount, 0) as tax,
        coalesce(total_price, total_price_set_shop_amount) as total,
        case when taxes_included then coalesce(total_tax, total_tax_set_shop_amount, 0) else 0 end as tax_in_prices,
        lower(coalesce(financial_status, display_financial_status)) as paid_status
    from source
    -- Test orders were never paid for. Orders not paid yet come once they are.
    where
        not coalesce(test, false)
        and not coalesce(_fivetran_deleted, false)
        and lower(coalesce(financial_status, display_financial_status, 'paid')) not in ('pending', 'authorized', 'expired')
),

renamed as (
    select
        amounts.id as source_record_id,
        customer_id as contact_record_id,
        cart_token as cart_id,
        coalesce(processed_at, created_at) as ordered_at,
        case
            when cancelled_at is not null or paid_status = 'voided' then 'cancelled'
            when paid_status = 'refunded' then 'refunded'
            when paid_status = 'partially_refunded' then 'partially_refunded'
            else 'paid'
        end as status,
        case
            when source_name in ('pos', 'point_of_sale') then 'store'
            when source_name in ('iphone', 'android', 'ios') then 'app'
            when source_name = 'shopify_draft_order' then 'phone'
            else 'online'
        end as channel,
        -- gross - discount + tax + shipping = what the customer paid, tax in the prices or not.
        coalesce(total_line_items_price, subtotal + discounts) - tax_in_prices as gross_amount,
        coalesce(total_line_items_price - subtotal, discounts) as discount_amount,
        tax as tax_amount,
        total - subtotal - (tax - tax_in_prices) as shipping_amount,
        coalesce(returned.goods, 0)
        - case when taxes_included then coalesce(returned.goods_tax, 0) else 0 end
        + coalesce(adjusted.credited, 0) as refund_amount,
        coalesce(currency, currency_code) as currency,
        codes.coupon_code,
        _fivetran_synced as loaded_at
    from amounts
    left join codes on amounts.id = codes.order_id
    left join returned on amounts.id = returned.order_id
    left join adjusted on amounts.id = adjusted.order_id
)

select * from renamed
