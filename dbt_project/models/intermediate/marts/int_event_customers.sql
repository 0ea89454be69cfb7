{# Whose event it was: the login says more than the device; a shared one is whose login came last. Events are never
   rewritten; what a visitor did before logging in finds its customer here. #}
with events as (
    select * from {{ ref('events') }}
),

visitors as (
    {{ visitors() }}
),

logins as (
    select * from {{ ref('int_login_customers') }}
),

shared_devices as (
    select * from {{ ref('int_shared_devices') }}
)

select
    events.event_id,
    coalesce(logins.customer_id, shared_devices.customer_id, visitors.customer_id) as customer_id,
    events.event_name,
    events.event_type,
    events.event_at,
    events.anonymous_id,
    events.session_id,
    events.channel,
    events.device_type,
    events.cart_id,
    events.product_id
from events
left join logins on lower(trim(events.user_id)) = logins.login_id
left join shared_devices
    on events.anonymous_id = shared_devices.anonymous_id and {{ is_while('events.event_at', 'shared_devices') }}
left join visitors on events.anonymous_id = visitors.anonymous_id
