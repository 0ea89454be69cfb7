{#
  The other kind of log: of each key (a customer, a cart) one hash of all that its figures are made of,
  and the batch in which it was last another. Where many causes lead to one figure (an identity that
  moves, a rate, a day that has come), what they lead to is compared with what it was, and not each
  cause looked for. The log is the state as well: it needs no table to be compared with, and what one
  reader missed stays marked for it. `inputs` is a model of (changed_id, row_hash).
#}
{% macro changed_inputs(inputs) %}
with today as (
    select
        changed_id,
        {{ set_hash('row_hash') }} as inputs_hash,
        count(*) as input_count
    from {{ ref(inputs) }}
    group by changed_id
)
{% if is_incremental() %}
select
    coalesce(today.changed_id, standing.changed_id) as changed_id,
    today.inputs_hash,
    today.input_count,
    {{ next_batch() }} as batch
from today
full join {{ this }} as standing on today.changed_id = standing.changed_id
where
    today.inputs_hash is distinct from standing.inputs_hash
    or today.input_count is distinct from standing.input_count
{% else %}
select
    changed_id,
    inputs_hash,
    input_count,
    {{ next_batch() }} as batch
from today
{% endif %}
{% endmacro %}

{# Such a log's pre-hook: keys of which nothing is left, and all readers know. #}
{% macro forget_gone() %}
    {% if execute and is_incremental() %}
delete from {{ this }}
where
    inputs_hash is null
    and batch <= (select min(batch) from intermediate.read_marks where log = '{{ model.name }}');
    {% endif %}
{% endmacro %}

{# Restricts a reader's select to keys that it has not read yet. #}
{% macro changed(log, key) -%}
    {{ key }} in (select unread.changed_id from ({{ unread(log) }}) as unread)
{%- endmacro %}

{# A reader's pre-hook: what it says of them, before it is computed again. #}
{% macro delete_changed(log, key) %}
    {% if execute and is_incremental() %}
delete from {{ this }} where {{ changed(log, key) }};
    {% endif %}
{% endmacro %}

{# By what a row of a canonical table is told to be another, a list: a row of the same id and load is the same
   row; where a source has no loads, all columns tell. #}
{% macro told_by(entity, key) %}
    {%- set columns = [key, 'loaded_at', 'load_id'] -%}
    {%- for source in sources_of(entity) if 'load_id' not in staged_columns(source, entity) -%}
        {%- if loop.first and execute -%}
            {%- do columns.extend(graph.nodes['model.' ~ project_name ~ '.' ~ entity].columns.keys()) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- for column in columns | unique -%}
        {%- do found.append(entity ~ '.' ~ column) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
