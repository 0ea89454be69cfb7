{# The decision in force, by customer: over all of a customer's identifiers the newest decision
   about a purpose and channel counts; of two at the same moment the stricter one. #}
with in_force as (
    select * from {{ ref('consents') }}
    where valid_from <= {{ as_of() }} and (valid_to is null or valid_to > {{ as_of() }})
),

normalised as (
    select
        in_force.consent_id,
        in_force.purpose,
        in_force.channel,
        in_force.status,
        in_force.legal_basis,
        in_force.jurisdiction,
        in_force.consented_at,
        in_force.identifier_type,
        given.identifier_value
    from in_force
    inner join {{ ref('stg_identity__normalised_values') }} as given
        on
            in_force.identifier_type = given.identifier_type
            and trim(in_force.identifier_value) = given.given_value
    -- A number that may be several people's grants nothing, and forbids for all of them.
    where given.is_only_reading or in_force.status <> 'granted'
),

decisions as (
    select
        owners.customer_id,
        normalised.*
    from normalised
    inner join {{ ref('customer_identifiers') }} as owners
        on
            normalised.identifier_type = owners.identifier_type
            and normalised.identifier_value = owners.identifier_value
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id, purpose, channel
            order by consented_at desc, case when status = 'granted' then 1 else 0 end asc, consent_id asc
        ) as recency
    from decisions
)

select
    customer_id,
    purpose,
    channel,
    status,
    legal_basis,
    jurisdiction,
    consented_at,
    consent_id
from ranked
where recency = 1
