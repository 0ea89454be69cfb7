{# Every customer id that was ever given, and who goes by it today. An id retires at most once (by a
   merge or an erasure) and is never used again, so following the successors ends. #}
with recursive history as (
    select * from {{ ref('stg_identity__history') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

-- Ids in use do not retire, whatever happened to them before.
steps as (
    select distinct
        history.from_customer_id as customer_id,
        history.to_customer_id as successor_id,
        history.event
    from history
    left join crosswalk on history.from_customer_id = crosswalk.customer_id
    where history.event in ('merge', 'erase') and crosswalk.customer_id is null
),

followed as (
    select
        customer_id,
        successor_id,
        event as retired_by
    from steps
    union
    select
        followed.customer_id,
        steps.successor_id,
        followed.retired_by
    from followed
    inner join steps on followed.successor_id = steps.customer_id
),

-- The last successor: it is in use, or it was erased and there is none.
retired as (
    select
        followed.customer_id,
        followed.successor_id as current_customer_id,
        followed.retired_by
    from followed
    left join steps on followed.successor_id = steps.customer_id
    where steps.customer_id is null
)

select distinct
    customer_id,
    customer_id as current_customer_id,
    cast(null as varchar) as retired_by
from crosswalk
union all
select
    customer_id,
    current_customer_id,
    retired_by
from retired
