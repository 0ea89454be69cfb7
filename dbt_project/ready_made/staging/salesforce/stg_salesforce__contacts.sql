{{ config(enabled='contacts' in var('sources').get('salesforce', [])) }}

with contacts as (
    {{ landed('salesforce', 'contact') }}
),

leads as (
    {{ landed('salesforce', 'lead') }}
),

-- Salesforce's ids say what they are of (003 a contact, 00Q a lead), so that both fit one key.
renamed as (
    select
        id as source_record_id,
        'contact' as record_type,
        first_name,
        last_name,
        name as full_name,
        email,
        coalesce(mobile_phone, phone) as phone,
        case when mobile_phone is not null then phone end as second_phone,
        birthdate as birth_date,
        mailing_street as address_line1,
        mailing_city as city,
        coalesce(mailing_state_code, mailing_state) as region,
        mailing_postal_code as postal_code,
        {{ country_code('coalesce(mailing_country_code, mailing_country)') }} as country_code,
        created_date as created_at,
        coalesce(last_modified_date, created_date) as updated_at,
        coalesce(is_deleted, false) as is_deleted,
        _fivetran_synced as loaded_at
    from contacts
    where coalesce(_fivetran_active, true)
    union all
    select
        id as source_record_id,
        'lead' as record_type,
        first_name,
        last_name,
        name as full_name,
        email,
        coalesce(mobile_phone, phone) as phone,
        case when mobile_phone is not null then phone end as second_phone,
        cast(null as date) as birth_date,
        street as address_line1,
        city,
        coalesce(state_code, state) as region,
        postal_code,
        {{ country_code('coalesce(country_code, country)') }} as country_code,
        created_date as created_at,
        coalesce(last_modified_date, created_date) as updated_at,
        coalesce(is_deleted, false) as is_deleted,
        _fivetran_synced as loaded_at
    from leads
    where coalesce(_fivetran_active, true)
)

select * from renamed
