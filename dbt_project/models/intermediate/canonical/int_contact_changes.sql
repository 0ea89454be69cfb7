{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='sync_all_columns',
    full_refresh=false,
    pre_hook="{{ prune_log('contacts') }}",
) }}
{{ changes_of('contacts') }}
