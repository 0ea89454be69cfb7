{{ config(enabled='contacts' in var('sources').get('shopify', [])) }}

with source as (
    {{ landed('shopify', 'customer') }}
),

addresses as (
    {{ landed('shopify', 'customer_address') }}
),

-- One address a customer: the default one, else the first.
ranked as (
    select
        *,
        row_number() over (
            partition by customer_id order by coalesce(is_default, false) desc, id
        ) as place
    from addresses
),

renamed as (
    select
        source.id as source_record_id,
        source.id as user_id,
        source.first_name,
        source.last_name,
        source.email,
        coalesce(source.verified_email, false) as is_email_verified,
        source.phone,
        ranked.address_1 as address_line1,
        ranked.city,
        coalesce(ranked.province_code, ranked.province) as region,
        ranked.zip as postal_code,
        {{ country_code('ranked.country_code') }} as country_code,
        source.created_at,
        coalesce(source.updated_at, source.created_at) as updated_at,
        coalesce(source._fivetran_deleted, false) as is_deleted,
        source._fivetran_synced as loaded_at
    from source
    left join ranked on source.id = ranked.customer_id and ranked.place = 1
)

select * from renamed
