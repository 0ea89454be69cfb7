{{ config(enabled='email_events' in var('sources').get('marketo', [])) }}

{%- set activities = {
    'activity_send_email': 'sent',
    'activity_email_delivered': 'delivered',
    'activity_open_email': 'open',
    'activity_click_email': 'click',
    'activity_email_bounced': 'bounce',
    'activity_unsubscribe_email': 'unsubscribe',
} %}
with activities as (
    {%- for table, event_type in activities.items() %}
    select
        id,
        lead_id,
        activity_date,
        campaign_id,
        campaign_run_id,
        coalesce(email_template_id, primary_attribute_value_id) as email_id,
        '{{ event_type }}' as event_type,
        {{ 'link' if event_type == 'click' else 'cast(null as varchar)' }} as link,
        {{ 'is_bot_activity' if event_type == 'open' else 'cast(null as boolean)' }} as is_bot_activity,
        _fivetran_synced
    from ({{ landed('marketo', table) }}) as {{ table }}
        {%- if event_type == 'sent' %}
    -- A send that Marketo skipped or failed did not happen.
    where coalesce(action_result, 'succeeded') = 'succeeded'
        {%- endif %}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

leads as (
    {{ landed('marketo', 'lead') }}
),

renamed as (
    select
        activities.id as source_record_id,
        email_id || ':' || coalesce(campaign_run_id, '') || ':' || lead_id as message_id,
        campaign_id as campaign_record_id,
        leads.email,
        event_type,
        activity_date as event_at,
        link as link_url,
        coalesce(is_bot_activity, false) as is_machine_open,
        coalesce(activities._fivetran_synced, activity_date) as loaded_at
    from activities
    left join leads on activities.lead_id = leads.id
)

select * from renamed
