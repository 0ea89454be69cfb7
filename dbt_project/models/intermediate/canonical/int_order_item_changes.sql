{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='sync_all_columns',
    full_refresh=false,
    pre_hook="{{ prune_log('order_items') }}",
) }}
{{ changes_of('order_items', whole='orders') }}
