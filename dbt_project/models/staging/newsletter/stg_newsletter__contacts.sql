{{ config(enabled='newsletter' in var('sources')) }}

with source as (
    select * from {{ source('newsletter', 'signups') }}
),

renamed as (
    select
        _record_id as source_record_id,
        first_name,
        last_name,
        email,
        {{ parse_date('birthday', '%m/%d/%Y') }} as birth_date,
        postcode as postal_code,
        {{ country_code('country') }} as country_code,
        list as newsletter_list,
        signed_up_at as created_at,
        signed_up_at as updated_at,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
