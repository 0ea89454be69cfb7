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

{# The documented columns of a model, of an alias: a list. #}
{% macro columns_of(name, alias) %}
    {%- set key = 'model.' ~ project_name ~ '.' ~ name -%}
    {%- set found = [] -%}
    {%- for column in (graph.nodes[key].columns.keys() if execute and key in graph.nodes else []) -%}
        {%- do found.append(alias ~ '.' ~ column) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}
