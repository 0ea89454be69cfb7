{#
  Incremental models here follow a log of changes (int_event_changes): batch after batch, which rows
  arrived and which are gone, found by comparing ids and never by comparing times, since a row may
  come late, come back, or vanish with a file that was delivered anew.

  Each model that reads the log keeps a mark, the batch that it has read up to, in
  intermediate.read_marks. It is written by the model's post-hook, in the transaction that writes its
  rows: after a kill both are there or neither. What a batch touches is computed again from
  everything that is known by then, so reading a batch twice changes nothing.
#}

{# The table of marks: the project's on-run-start. #}
{% macro open_read_marks() %}
    {% if execute %}
create schema if not exists intermediate;
create table if not exists intermediate.read_marks (model varchar, log varchar, batch bigint);
    {% endif %}
{% endmacro %}

{# Up to which batch of a log a model has read; null if it never did. A scalar subquery. #}
{% macro read_mark(log, reader=none) -%}
    (select max(batch) from intermediate.read_marks where model = '{{ reader or model.name }}' and log = '{{ log }}')
{%- endmacro %}

{# A reader's post-hook: what it wrote takes in all that the log says by now. #}
{% macro mark_as_read(log) %}
    {% if execute %}
delete from intermediate.read_marks where model = '{{ model.name }}' and log = '{{ log }}';
insert into intermediate.read_marks
select '{{ model.name }}', '{{ log }}', coalesce(max(batch), 0) from {{ ref(log) }};
    {% endif %}
{% endmacro %}

{# The log's pre-hook. What the first reader (the table that the log compares with) has not read is
   void: it will be found again, or is true no more. What everybody has read is needed no more. #}
{% macro prune_log(first_reader) %}
    {% if execute and is_incremental() %}
delete from {{ this }} where batch > coalesce({{ read_mark(model.name, first_reader) }}, 0);
delete from {{ this }} where batch <= (select min(batch) from intermediate.read_marks where log = '{{ model.name }}');
    {% endif %}
{% endmacro %}

{# The number of the batch that a log writes: greater than any that was ever read. #}
{% macro next_batch() -%}
    (select coalesce(max(batch), 0) + 1 from (
        select batch from intermediate.read_marks where log = '{{ model.name }}'
        {%- if is_incremental() %}
        union all
        select batch from {{ this }}
        {%- endif %}
    ) as known)
{%- endmacro %}

{# What a reader has not read yet: a select of rows of the log. #}
{% macro unread(log) -%}
    select * from {{ ref(log) }} where batch > coalesce({{ read_mark(log) }}, 0)
{%- endmacro %}

{# Restricts a select over staged rows to the loads that unread changes came with, as constants: so a
   warehouse skips what else is stored, before it parses any of it. #}
{% macro loaded_when(log) -%}
    {%- set moments = run_query("select distinct cast(loaded_at as varchar) from (" ~ unread(log) ~ ") as changes where change = 'arrived' order by 1").columns[0].values() if execute else [] -%}
    {%- set known = moments | reject('none') | list -%}
    {%- if not moments -%}
        false
    {%- elif known | length < moments | length -%}
        true
    {%- elif known | length <= 200 -%}
        loaded_at in ({% for moment in known %}cast('{{ moment }}' as timestamp){{ ', ' if not loop.last }}{% endfor %})
    {%- else -%}
        loaded_at between cast('{{ known[0] }}' as timestamp) and cast('{{ known[-1] }}' as timestamp)
    {%- endif -%}
{%- endmacro %}

{# The pre-hook of the table that a log compares with: rows that are gone. #}
{% macro delete_gone(log) %}
    {% if execute and is_incremental() %}
delete from {{ this }}
where (source_system, source_record_id) in (
    select source_system, source_record_id from ({{ unread(log) }}) as changes where change = 'gone'
);
    {% endif %}
{% endmacro %}

{# The pre-hook of a table of figures by visitor: those of visitors that unread changes touch, before
   they are computed again. #}
{% macro delete_touched(log, visitor) %}
    {% if execute and is_incremental() %}
delete from {{ this }} where {{ visitor }} in (select visitor from ({{ unread(log) }}) as changes);
    {% endif %}
{% endmacro %}

{# Restricts a select over events to those visitors. #}
{% macro touched(log) -%}
    coalesce(anonymous_id, user_id) in (select visitor from ({{ unread(log) }}) as changes)
{%- endmacro %}

{#
  dbt asks this of every incremental model. Beside the flag and the model's own config: models whose
  code, or whose parents' code, is not what the table was built with (`mainstem run` finds out and
  says so in MAINSTEM_REBUILD), and readers of a log that have no mark in it.
#}
{% macro should_full_refresh() %}
    {% set configured = config.get('full_refresh') %}
    {% if configured is not none %}
        {{ return(configured) }}
    {% endif %}
    {% if flags.FULL_REFRESH or model.name in env_var('MAINSTEM_REBUILD', '').split(',') %}
        {{ return(true) }}
    {% endif %}
    {% set log = config.get('meta', {}).get('log') %}
    {{ return(execute and log is not none and run_query('select ' ~ read_mark(log)).rows[0][0] is none) }}
{% endmacro %}
