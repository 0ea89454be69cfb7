select
    customer_id,
    revenue
from {{ ref('customer_360') }}
where
    rfm_monetary = 5
    and rfm_frequency >= 4
    and rfm_recency >= 4
