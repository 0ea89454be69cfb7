{#
  Golden attributes out of the records of a customer. Each golden column declares how its value is
  chosen, and that entry is all there is to add for a new attribute: `<attribute>_source` and
  `<attribute>_updated_at` come with it, and golden_customers_history takes it up by itself.

      config: {meta: {survivorship: {rule: [verified_first, most_recent], exclude: [blocked]}}}

  rule: one of these, or a list of them, of which each decides where those before it tie

  most_recent     the newest record that has a value
  most_trusted    the source that comes first in the model's meta `source_ranking`
  most_frequent   the value that most records agree on
  most_complete   the record with the most golden attributes
  verified_first  an email or phone that was verified; other attributes: of a record with one
  longest         the longest text

  group: columns of one group are taken together from one record, so that an address or a name is
  never mixed from two: the record that has the most of them (a column that is `optional: true` is
  not counted), then the rule, which all of the group share.

  exclude: values that are nobody's: `blocked` (identity holds the email or phone to be a placeholder
  or shared by too many), `bounced` (mail to it came back, and none got through since), `invalid` (no
  such phone number or address can be), `placeholder` ("n/a", 1900-01-01, a birth in the future).

  After all rules the newer record, then the more trusted source, then the contact_key: the same
  choice on every run, whatever the order of rows.
#}

{# The attributes of golden_customers that declare a survivorship, in order; [] while dbt parses. #}
{% macro golden_attributes() %}
    {% set key = 'model.' ~ project_name ~ '.golden_customers' %}
    {% if not execute or key not in graph.nodes %}{{ return([]) }}{% endif %}
    {{ return(graph.nodes[key].columns.values() | selectattr('config.meta.survivorship', 'defined') | list) }}
{% endmacro %}

{# Sources in golden_customers' order, the most trusted first. #}
{% macro source_ranking() %}
    {{ return(model.config.meta.source_ranking) }}
{% endmacro %}

{# What an attribute declares, checked: {rules, group, optional, exclude}. #}
{% macro survivorship_of(attribute) %}
    {%- set declared = attribute.config.meta.survivorship -%}
    {%- set rules = [declared.rule] if declared.rule is string else (declared.rule or []) -%}
    {%- set known = ['most_recent', 'most_trusted', 'most_frequent', 'most_complete', 'verified_first', 'longest'] -%}
    {%- for rule in rules if rule not in known -%}
        {{ bad_survivorship(attribute, 'unknown rule "' ~ rule ~ '"; known are ' ~ known | join(', ')) }}
    {%- else -%}
        {%- if not rules -%}{{ bad_survivorship(attribute, 'no rule; known are ' ~ known | join(', ')) }}{%- endif -%}
    {%- endfor -%}
    {%- set exclude = declared.exclude or [] -%}
    {%- for reason in exclude if reason not in ['blocked', 'bounced', 'invalid', 'placeholder'] -%}
        {{ bad_survivorship(attribute, 'unknown exclusion "' ~ reason ~ '"; known are blocked, bounced, invalid, placeholder') }}
    {%- endfor -%}
    {{ return({'rules': rules, 'group': declared.group, 'optional': declared.optional or false, 'exclude': exclude}) }}
{% endmacro %}

{% macro bad_survivorship(attribute, problem) %}
    {{ exceptions.raise_compiler_error('golden_customers.yml: column ' ~ attribute.name ~ ': survivorship: ' ~ problem) }}
{% endmacro %}

{# An attribute without the values that it excludes. `blocked`, `bounced` and `invalid` are known of
   emails and phones alone: int_customer_contacts has a column for each. #}
{% macro surviving_value(attribute) -%}
    {%- set exclude = survivorship_of(attribute).exclude -%}
    {%- set conditions = [] -%}
    {%- for reason in exclude -%}
        {%- if reason != 'placeholder' -%}
            {%- do conditions.append(attribute.name ~ '_is_' ~ reason) -%}
        {%- elif attribute.data_type == 'date' -%}
            {%- do conditions.append(attribute.name ~ " in (date '1900-01-01', date '1970-01-01', date '2000-01-01')") -%}
            {%- do conditions.append(attribute.name ~ ' > cast(' ~ as_of() ~ ' as date)') -%}
        {%- else -%}
            {%- do conditions.append("lower(trim(cast(" ~ attribute.name ~ " as varchar))) in ('', '-', '--', '.', '?', 'n/a', 'na', 'none', 'null', 'nil', 'unknown', 'unbekannt', 'inconnu', 'test', 'tbd', 'xxx', 'x')") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if conditions -%}case when {{ conditions | join(' or ') }} then null else {{ attribute.name }} end
    {%- else -%}{{ attribute.name }}{%- endif -%}
{%- endmacro %}

{# What `placeholder` excludes as of now and may not tomorrow: a list of conditions. #}
{% macro excluded_by_now(relation) %}
    {%- set found = [] -%}
    {%- for attribute in golden_attributes() if attribute.data_type == 'date' and 'placeholder' in survivorship_of(attribute).exclude -%}
        {%- do found.append(relation ~ '.' ~ attribute.name ~ ' > cast(' ~ as_of() ~ ' as date)') -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro most_trusted_first() -%}
    case source_system
        {%- for source in source_ranking() %}
        when '{{ source }}' then {{ loop.index }}
        {%- endfor %}
        else {{ source_ranking() | length + 1 }}
    end
{%- endmacro %}

{# How many golden attributes a record has. #}
{% macro completeness() -%}
    {%- for attribute in golden_attributes() -%}
    case when {{ attribute.name }} is null then 0 else 1 end{{ ' + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The order in which a customer's records are asked for an attribute, or for a group of them. #}
{% macro survivorship_order(members) -%}
    {%- set leader = members[0] -%}
    {%- set leading = survivorship_of(leader) -%}
    {%- set counted = [] -%}
    {%- for member in members -%}
        {%- set declared = survivorship_of(member) -%}
        {%- if declared.rules != leading.rules -%}
            {{ bad_survivorship(member, 'the group ' ~ leading.group ~ ' has two rules: ' ~ leader.name ~ ' says ' ~ leading.rules | join(', ')) }}
        {%- endif -%}
        {%- if not declared.optional -%}{%- do counted.append(member.name) -%}{%- endif -%}
    {%- endfor -%}
    {%- for name in counted or [leader.name] -%}
    case when {{ name }} is null then 1 else 0 end{{ ' + ' if not loop.last }}
    {%- endfor -%}
    {%- for rule in leading.rules -%}
        {%- if rule == 'most_recent' %}, updated_at desc nulls last
        {%- elif rule == 'most_trusted' %}, {{ most_trusted_first() }}
        {%- elif rule == 'most_frequent' %}, {{ leader.name }}__votes desc
        {%- elif rule == 'most_complete' %}, completeness desc
        {%- elif rule == 'longest' %}, length(cast({{ leader.name }} as varchar)) desc nulls last
        {%- elif leader.name in ('email', 'phone') %}, {{ leader.name }}_is_verified desc
        {%- else %}, has_verified_identifier desc
        {%- endif -%}
    {%- endfor -%}
    , updated_at desc nulls last, {{ most_trusted_first() }}, contact_key
{%- endmacro %}

{# How many records of the customer agree, for the attributes whose rule asks. #}
{% macro survivorship_votes() -%}
    {%- for attribute in golden_attributes() if 'most_frequent' in survivorship_of(attribute).rules %},
        count({{ attribute.name }}) over (partition by customer_id, {{ attribute.name }}) as {{ attribute.name }}__votes
    {%- endfor -%}
{%- endmacro %}

{# Golden attributes by what is chosen together: [[email], [address_line1, city, ...], ...]. #}
{% macro survivor_groups() %}
    {%- set found = {} -%}
    {%- for attribute in golden_attributes() -%}
        {%- do found.setdefault(attribute.config.meta.survivorship.group or 'only ' ~ attribute.name, []).append(attribute) -%}
    {%- endfor -%}
    {{ return(found.values() | list) }}
{% endmacro %}

{# The record that each group comes from, as `<first attribute>__record`; for a select grouped by
   customer_id. One aggregate a group: sorting is what golden_customers costs. #}
{% macro survivors() -%}
    {%- for members in survivor_groups() %},
        {{ first_record_by((members | map(attribute='name') | list) + ['source_system', 'updated_at'], survivorship_order(members)) }} as {{ members[0].name }}__record
    {%- endfor -%}
{%- endmacro %}

{# Value, source and date of each golden attribute, out of those records in a relation. #}
{% macro survivor_columns(relation) -%}
    {%- for members in survivor_groups() -%}
        {%- set record = relation ~ '.' ~ members[0].name ~ '__record' -%}
        {%- for attribute in members %}
    {{ record }}.{{ attribute.name }} as {{ attribute.name }},
    case when {{ record }}.{{ attribute.name }} is not null then {{ record }}.source_system end as {{ attribute.name }}_source,
    case when {{ record }}.{{ attribute.name }} is not null then {{ record }}.updated_at end as {{ attribute.name }}_updated_at,
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#
  The contract of a model made of golden attributes: to the columns in its YAML come those that its
  meta `golden_columns` asks of each attribute. dbt calls this macro before it creates such a table,
  with the same `model` that it reads the columns from.
#}
{% macro get_assert_columns_equivalent(sql) %}
    {%- set brought = model.config.meta.get('golden_columns', []) -%}
    {%- if brought -%}
        {%- set types = {'_source': 'varchar', '_updated_at': 'timestamp'} -%}
        {%- set declared = model.columns.values() | list -%}
        {%- set attributes = golden_attributes() -%}
        {%- do model.columns.clear() -%}
        {%- for column in declared -%}
            {%- do model.columns.update({column.name: column}) -%}
            {# After its attribute, or, where the attributes are not in the YAML, after the key. #}
            {%- set bringing = attributes | selectattr('name', 'equalto', column.name) | list -%}
            {%- if loop.first and '' in brought and attributes[0] not in declared -%}{%- set bringing = attributes -%}{%- endif -%}
            {%- for attribute in bringing -%}
                {%- for suffix in brought -%}
                    {%- set name = attribute.name ~ suffix -%}
                    {%- if name not in model.columns -%}
                        {%- do model.columns.update({name: {'name': name, 'data_type': types.get(suffix, attribute.data_type), 'constraints': [], 'quote': none}}) -%}
                    {%- endif -%}
                {%- endfor -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(adapter.dispatch('get_assert_columns_equivalent', 'dbt')(sql)) }}
{% endmacro %}

{# One hash of all attributes that have a value, each with its source: an attribute that nobody has a
   value of changes nobody's hash. #}
{% macro attributes_hash(attributes) -%}
    {%- set parts = [] -%}
    {%- for attribute in attributes -%}
        {%- do parts.append("coalesce('" ~ attribute.name ~ "=' || cast(" ~ attribute.name ~ " as varchar) || ' ' || " ~ attribute.name ~ "_source || '|', '')") -%}
    {%- endfor -%}
    {{ dbt.hash(parts | join(' || ') or "''") }}
{%- endmacro %}
