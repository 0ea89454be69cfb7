{#
  Incremental canonical tables follow a log of changes (int_event_changes and so on): batch after batch,
  which rows arrived and which are gone, found by comparing ids and loads and never by comparing
  times, since a row may come late, come back, or vanish with a file that was delivered anew.

  Each model that reads a log keeps a mark, the batch that it has read up to, in
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

{#
  What a log writes: staged rows of an entity and the rows of the table that is built from them,
  compared by id and load. The table is no parent of the log (it is built from it): it is read as it
  stands, and where it is not there yet everything is new, and nothing is logged.

  A staging model whose row is one row of a load has that row's `load_id`, and a row of the same id and
  load is the same row. Where a staging model has none (it may join what several loads brought), all
  its rows are taken to have changed, each time; unless `alone`: rows of the entity are one by one.

  Sources whose rows are parts of another entity's (`whole`) are left out: what changed is in that
  entity's log, and readers ask it (`arrived` and `delete_gone` with a key).
#}
{% macro changes_of(entity, alone=false, whole=none) %}
    {%- set table = load_relation(api.Relation.create(database=target.database, schema='canonical', identifier=entity)) if execute else none -%}
    {%- set is_known = table and 'load_id' in adapter.get_columns_in_relation(table) | map(attribute='name') -%}
    {%- set own = ['batch', 'change', 'source_system'] -%}
    {%- set kept = model.columns.keys() | reject('in', own) | list -%}
    {%- set parts = sources_in_parts(entity, whole) -%}
    {%- set labelled = [] -%}
    {%- for source in sources_of(entity) if alone or 'load_id' in staged_columns(source, entity) -%}
        {%- do labelled.append(source) -%}
    {%- endfor -%}
    {%- set sides -%}
given as (
    {{ union_sources(entity, derived=own, apart=parts) }}
),

staged as (
    select
        source_system,
        {%- for name in kept if name != 'load_id' %}
        {{ name }},
        {%- endfor %}
        case when source_system in ('{{ labelled | join("', '") }}') then load_id else '{{ invocation_id }}' end as load_id
    from given
),

built as (
    select
        source_system,
        {{ kept | join(',\n        ') }}
    from {{ table if is_known else 'staged' }}
    {%- if parts %}
    where source_system not in ('{{ parts | join("', '") }}')
    {%- endif %}
)
    {%- endset -%}
    {%- set changed = changed_loads(sides) if is_known else 'false' -%}
with {{ sides }},

compared as (
    select
        case when built.source_record_id is null then 'arrived' else 'gone' end as change,
        coalesce(staged.source_system, built.source_system) as source_system,
        {%- for name in kept %}
        case when built.source_record_id is null then staged.{{ name }} else built.{{ name }} end as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (select * from staged where {{ changed }}) as staged
    full join (select * from built where {{ changed }}) as built
        on
            staged.source_record_id = built.source_record_id
            and staged.source_system = built.source_system
            and staged.loaded_at is not distinct from built.loaded_at
            and staged.load_id is not distinct from built.load_id
    where staged.source_record_id is null or built.source_record_id is null
)

select
    {{ next_batch() }} as batch,
    change,
    source_system,
    {{ kept | join(',\n    ') }}
from compared
{% endmacro %}

{# Restricts either side of a log's comparison to loads that brought other rows than are built, as
   constants, so that a warehouse skips what else there is: most loads are as they were. #}
{% macro changed_loads(sides) -%}
    {%- set query -%}
with {{ sides }}

select load_key
from (
    {%- for side in ['staged', 'built'] %}
    select
        source_system,
        coalesce(load_id, '') as load_key,
        count(*) as row_count,
        {{ set_hash('source_record_id, loaded_at') }} as ids
    from {{ side }}
    group by
        source_system,
        coalesce(load_id, '')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as loads
group by source_system, load_key
having count(*) = 1 or min(row_count) <> max(row_count) or min(ids) <> max(ids)
    {%- endset -%}
    {%- set loads = run_query(query).columns[0].values() | unique(case_sensitive=true) | sort(case_sensitive=true) if execute else [] -%}
    {%- if not loads -%}
        false
    {%- elif loads | length > 200 -%}
        true
    {%- else -%}
        ({{ 'load_id is null or ' if '' in loads }}load_id in ({% for load in loads %}'{{ load | replace("'", "''") }}'{{ ', ' if not loop.last }}{% endfor %}))
    {%- endif -%}
{%- endmacro %}

{# A reader's post-hook: what it wrote takes in all that the log says by now. #}
{% macro mark_as_read(log) %}
    {% if execute %}
        {% set mine = "model = '" ~ model.name ~ "' and log = '" ~ log ~ "'" %}
delete from intermediate.read_marks
where {{ mine }} and batch < (select max(batch) from {{ ref(log) }});
insert into intermediate.read_marks
select '{{ model.name }}', '{{ log }}', newest.batch
from (select coalesce(max(batch), 0) as batch from {{ ref(log) }}) as newest
where not exists (select 1 from intermediate.read_marks where {{ mine }});
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

{# Restricts a select to the moments that rows of unread changes were loaded at, as constants: so a
   warehouse skips what else is stored, before it parses any of it. #}
{% macro loaded_when(log, change='arrived') -%}
    {%- set moments = run_query("select distinct cast(loaded_at as varchar) from (" ~ unread(log) ~ ") as changes where change = '" ~ change ~ "' order by 1").columns[0].values() if execute else [] -%}
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

{# Restricts a select over staged rows to those that arrived; `key` where the log is of another entity,
   which they are parts of. #}
{% macro arrived(log, key='source_record_id') -%}
    {{ loaded_when(log) }}
    and (source_system, {{ key }}) in (
        select
            source_system,
            source_record_id
        from ({{ unread(log) }}) as changes
        where change = 'arrived'
    )
{%- endmacro %}

{# The pre-hook of the table that a log compares with: rows that are gone. With `key` and `of` those of these
   sources that are parts of what is gone. #}
{% macro delete_gone(log, key='source_record_id', of=none) %}
    {% if execute and is_incremental() and (of is none or of) %}
delete from {{ this }}
where
    {{ loaded_when(log, 'gone') }}
        {%- if of %}
    and source_system in ('{{ of | join("', '") }}')
        {%- endif %}
    and (source_system, {{ key }}) in (
        select source_system, source_record_id from ({{ unread(log) }}) as changes where change = 'gone'
    );
    {% endif %}
{% endmacro %}

{# The pre-hook of a table of figures by visitor: those of visitors that unread changes touch, before
   they are computed again. #}
{% macro delete_touched(log, visitor) %}
    {% if execute and is_incremental() %}
delete from {{ this }} where {{ visitor }} in (select coalesce(anonymous_id, user_id) from ({{ unread(log) }}) as changes);
    {% endif %}
{% endmacro %}

{# Restricts a select over events to those visitors. #}
{% macro touched(log) -%}
    coalesce(anonymous_id, user_id) in (select coalesce(anonymous_id, user_id) from ({{ unread(log) }}) as changes)
{%- endmacro %}

{# The nodes of contacts, and of visitors, that unread changes touch: a select in brackets. #}
{% macro touched_contacts(log) -%}
    (select source_system || ':' || source_record_id as node_key from ({{ unread(log) }}) as changes)
{%- endmacro %}
{% macro touched_visitors(log) -%}
    (select 'anon:' || coalesce(anonymous_id, user_id) as node_key from ({{ unread(log) }}) as changes)
{%- endmacro %}

{# The pre-hook of a table of nodes: those of contacts and visitors that unread changes touch. #}
{% macro delete_touched_nodes(contacts_log, events_log) %}
    {% if execute and is_incremental() %}
delete from {{ this }} where node_key in (
    select node_key from {{ touched_contacts(contacts_log) }} as contacts
    union all
    select node_key from {{ touched_visitors(events_log) }} as visitors
);
    {% endif %}
{% endmacro %}

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
    {% if not execute or log is none %}
        {{ return(false) }}
    {% endif %}
    {% set marks = load_relation(api.Relation.create(database=target.database, schema='intermediate', identifier='read_marks')) %}
    {% for one in ([log] if log is string else log) %}
        {% if marks is none or run_query('select ' ~ read_mark(one)).rows[0][0] is none %}
            {{ return(true) }}
        {% endif %}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}
