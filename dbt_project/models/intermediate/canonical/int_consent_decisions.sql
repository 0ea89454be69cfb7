select
    source_system,
    source_record_id,
    identifier_type,
    identifier_value,
    purpose,
    channel,
    -- A word that nobody knows is no consent.
    case when status in ('granted', 'denied', 'withdrawn') then status else 'denied' end as status,
    legal_basis,
    jurisdiction,
    consented_at,
    loaded_at
from (
    {{ union_sources('consents') }}
) as staged
