select
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
    loaded_at
from (
    {{ union_sources('consents') }}
) as staged
