{{ config(enabled='crm' in var('sources')) }}

with source as (
    select * from {{ source('crm', 'contacts') }}
),

renamed as (
    select
        _record_id as source_record_id,
        GivenName as first_name,
        Surname as last_name,
        Email as email,
        coalesce(Mobile, Phone) as phone,
        case when Mobile is not null then Phone end as second_phone,
        {{ parse_date('DateOfBirth', '%d.%m.%Y') }} as birth_date,
        Street as address_line1,
        City as city,
        Postcode as postal_code,
        {{ country_code('Country') }} as country_code,
        Company as company,
        ShopCustomerNo as user_id,
        CreatedOn as created_at,
        coalesce(ModifiedOn, CreatedOn) as updated_at,
        _deleted_at is not null as is_deleted,
        _loaded_at as loaded_at,
        -- Deletion is marked on the row that stands: it is another row then.
        case when _deleted_at is null then _load_id else _load_id || ' deleted' end as load_id
    from source
)

select * from renamed
