-- noqa: disable=LT02
with given as (
    select * from {{ ref('int_customer_contacts') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
),

-- Values that an attribute excludes are as good as none.
usable as (
    select
        customer_id,
        contact_key,
        source_system,
        created_at,
        updated_at,
        has_verified_identifier,
        email_is_verified,
        phone_is_verified
        {%- for attribute in golden_attributes() %},
        {{ surviving_value(attribute) }} as {{ attribute.name }}
        {%- endfor %}
    from given
),

contacts as (
    select
        *,
        {{ completeness() or 0 }} as completeness
        {{- survivorship_votes() }}
    from usable
),

seen as (
    select
        crosswalk.customer_id,
        count(distinct crosswalk.node_key) as node_count,
        min(identifiers.first_seen_at) as first_seen_at,
        max(identifiers.last_seen_at) as last_seen_at
    from crosswalk
    left join identifiers on crosswalk.node_key = identifiers.node_key
    group by crosswalk.customer_id
),

golden as (
    select
        customer_id,
        count(distinct source_system) as source_count,
        count(*) as contact_count,
        min(created_at) as contact_first_seen_at,
        max(updated_at) as contact_last_seen_at
        {{- survivors() }}
    from contacts
    group by customer_id
)

select
    golden.customer_id,
    {{- survivor_columns('golden') }}
    golden.source_count,
    golden.contact_count,
    seen.node_count,
    coalesce(least(seen.first_seen_at, golden.contact_first_seen_at), golden.contact_first_seen_at) as first_seen_at,
    coalesce(greatest(seen.last_seen_at, golden.contact_last_seen_at), golden.contact_last_seen_at) as last_seen_at
from golden
inner join seen on golden.customer_id = seen.customer_id
