with decisions as (
    select * from {{ ref('int_consent_decisions') }}
)

select
    source_system || ':' || source_record_id as consent_id,
    source_system,
    source_record_id,
    identifier_type,
    identifier_value,
    purpose,
    channel,
    status,
    legal_basis,
    jurisdiction,
    consented_at,
    consented_at as valid_from,
    -- A decision holds until the next one of the same person about the same thing; of two at one
    -- moment the stricter one is the next.
    lead(consented_at) over (
        partition by identifier_type, lower(trim(identifier_value)), purpose, channel
        order by consented_at, case when status = 'granted' then 0 else 1 end, source_system, source_record_id
    ) as valid_to,
    loaded_at
from decisions
