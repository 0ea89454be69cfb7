with staged as (
    {{ union_sources('offline_conversions', derived=['conversion_id', 'contact_key']) }}
)

select
    source_system || ':' || source_record_id as conversion_id,
    source_system,
    source_record_id,
    case
        when contact_record_id is not null then coalesce(contact_source, source_system) || ':' || contact_record_id
    end as contact_key,
    contact_source,
    contact_record_id,
    converted_at,
    conversion_type,
    revenue,
    currency,
    loaded_at
from staged
