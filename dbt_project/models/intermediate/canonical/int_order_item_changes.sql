{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ prune_log('order_items') }}",
) }}
{{ changes_of('order_items') }}
