{{ config(enabled='products' in var('sources').get('stripe', [])) }}

with source as (
    {{ landed('stripe', 'product') }}
),

prices as (
    {{ landed('stripe', 'price') }}
),

newest as (
    select
        product_id,
        {{ first_by('unit_amount', 'created desc, id') }} as unit_amount,
        {{ first_by('currency', 'created desc, id') }} as currency
    from prices
    where coalesce(active, true) and not coalesce(is_deleted, false)
    group by product_id
),

renamed as (
    select
        source.id as source_record_id,
        source.id as sku,
        source.name as product_name,
        {{ from_minor_units('newest.unit_amount', 'newest.currency') }} as price,
        upper(newest.currency) as currency,
        coalesce(source.active, true) and not coalesce(source.is_deleted, false) as is_active,
        source._fivetran_synced as loaded_at
    from source
    left join newest on source.id = newest.product_id
    where coalesce(source.livemode, true)
)

select * from renamed
