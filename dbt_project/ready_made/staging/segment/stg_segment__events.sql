{{ config(enabled='events' in var('sources').get('segment', [])) }}

{{ warehouse_messages('segment') }}
