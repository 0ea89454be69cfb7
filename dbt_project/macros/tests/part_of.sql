{# Rows that are parts of another model's rows (`meta: {part_of: ...}`) come with them: same source row, same load. #}
{% test part_of(model, to, key) %}
select
    parts.{{ key }},
    parts.load_id
from {{ model }} as parts
left join {{ to }} as wholes
    on
        parts.{{ key }} = wholes.source_record_id
        and parts.load_id = wholes.load_id
        and parts.loaded_at = wholes.loaded_at
where wholes.source_record_id is null
{% endtest %}
