{# Who lost a card, or joined again, has several; the one that was joined last says the tier of today. #}
with cards as (
    select
        contacts.customer_id,
        cards.tier,
        cards.joined_on,
        row_number() over (partition by contacts.customer_id order by cards.joined_on desc, cards.membership_id asc) as recency,
        lead(cards.tier) over (partition by contacts.customer_id order by cards.joined_on desc, cards.membership_id asc) as tier_before
    from {{ ref('loyalty_memberships') }} as cards
    inner join {{ ref('int_customer_contacts') }} as contacts on cards.contact_key = contacts.contact_key
    where cards.joined_on <= {{ as_of() }}
)

select
    customers.customer_id,
    cards.tier_before,
    cards.tier,
    cards.joined_on as changed_on
from {{ ref('golden_customers') }} as customers
inner join cards on customers.customer_id = cards.customer_id
where
    cards.recency = 1
    and cards.tier <> cards.tier_before
    and cards.joined_on > {{ days_before(as_of(), 180) }}
