with staged as (
    {{ union_sources('exchange_rates', derived=['valid_to']) }}
)

select
    currency,
    valid_from,
    lead(valid_from) over (partition by currency order by valid_from) as valid_to,
    usd_rate,
    source_system,
    source_record_id,
    loaded_at
from staged
