{# Intervals of one customer neither overlap nor run backwards, and the open one is the last. #}
{% test versions_in_line(model) %}
with versions as (
    select
        customer_id,
        valid_from,
        valid_to,
        is_current,
        lead(valid_from) over (partition by customer_id order by version) as next_from
    from {{ model }}
)

select *
from versions
where
    valid_to < valid_from
    or next_from < valid_to
    or is_current <> (valid_to is null)
    or (is_current and next_from is not null)
{% endtest %}
