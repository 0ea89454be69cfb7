{{ config(enabled='contacts' in var('sources').get('stripe', [])) }}

with source as (
    {{ landed('stripe', 'customer') }}
),

renamed as (
    select
        id as source_record_id,
        name as full_name,
        email,
        phone,
        shipping_phone as second_phone,
        address_line_1 as address_line1,
        address_city as city,
        address_state as region,
        address_postal_code as postal_code,
        {{ country_code('address_country') }} as country_code,
        created as created_at,
        -- Stripe does not say when a customer changed: when we saw the change is the nearest.
        coalesce(_fivetran_synced, created) as updated_at,
        coalesce(is_deleted, false) or coalesce(_fivetran_deleted, false) as is_deleted,
        _fivetran_synced as loaded_at
    from source
    where coalesce(livemode, true)
)

select * from renamed
