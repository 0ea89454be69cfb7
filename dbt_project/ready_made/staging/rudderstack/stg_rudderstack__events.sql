{{ config(enabled='events' in var('sources').get('rudderstack', [])) }}

{{ warehouse_messages('rudderstack') }}
