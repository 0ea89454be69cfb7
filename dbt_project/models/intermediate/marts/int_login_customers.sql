{# Whom a login belongs to. A table: whoever asks whose an event was asks for it. #}
{{ config(materialized='table') }}
select
    lower(identifiers.identifier_value) as login_id,
    min(crosswalk.customer_id) as customer_id
from {{ ref('stg_identity__identifiers') }} as identifiers
inner join {{ ref('stg_identity__crosswalk') }} as crosswalk on identifiers.node_key = crosswalk.node_key
where identifiers.identifier_type = 'user_id' and not crosswalk.is_anonymous and not identifiers.is_blocked
group by lower(identifiers.identifier_value)
