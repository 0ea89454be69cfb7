{# A join that must neither multiply rows nor lose any: both relations have as many. #}
{% test same_rows(model, compare_to) %}
select *
from (
    select
        (select count(*) from {{ model }}) as here,
        (select count(*) from {{ compare_to }}) as there
) as counted
where here <> there
{% endtest %}
