with staged as (
    {{ union_sources('contacts', derived=['contact_key']) }}
)

select
    source_system || ':' || source_record_id as contact_key,
    source_system,
    source_record_id,
    first_name,
    last_name,
    coalesce(full_name, nullif(trim(concat_ws(' ', first_name, last_name)), '')) as full_name,
    email,
    phone,
    birth_date,
    address_line1,
    city,
    region,
    postal_code,
    country_code,
    loyalty_tier,
    created_at,
    updated_at,
    coalesce(is_deleted, false) as is_deleted,
    loaded_at
from staged
