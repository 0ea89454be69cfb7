{#
  Golden attributes out of the records of a customer. Each golden column declares its rule:

      config: {meta: {survivorship: {rule: most_recent, group: name}}}

  most_recent    the newest record that has a value
  most_trusted   the source that comes first in the model's meta `source_ranking`, then the newest
  most_frequent  the value that most records agree on, then the newest
  longest        the longest text, then the newest

  Columns of one `group` are taken together from one record, the one that has most of them, so that
  an address or a name is never mixed from two sources. Ties end at the contact_key, so that the
  choice is the same on every run.
#}

{# The attributes of the calling model that declare a survivorship, in order. #}
{% macro golden_attributes() %}
    {{ return(model.columns.values() | selectattr('config.meta.survivorship', 'defined') | list) }}
{% endmacro %}

{# The calling model's sources, the most trusted first. #}
{% macro source_ranking() %}
    {{ return(model.config.meta.source_ranking) }}
{% endmacro %}

{% macro most_trusted_first() -%}
    case source_system
        {%- for source in source_ranking() %}
        when '{{ source }}' then {{ loop.index }}
        {%- endfor %}
        else {{ source_ranking() | length + 1 }}
    end
{%- endmacro %}

{# The order in which the records of a customer are asked for an attribute. #}
{% macro survivorship_order(attribute, members) -%}
    {%- set rule = attribute.config.meta.survivorship.rule -%}
    {%- set known = ['most_recent', 'most_trusted', 'most_frequent', 'longest'] -%}
    {%- if rule not in known -%}
        {{ exceptions.raise_compiler_error(model.original_file_path ~ ': column ' ~ attribute.name ~ ': unknown survivorship rule "' ~ rule ~ '"; known are ' ~ known | join(', ')) }}
    {%- endif -%}
    {%- for member in members -%}
    case when {{ member }} is null then 1 else 0 end{{ ' + ' if not loop.last }}
    {%- endfor -%}
    {%- if rule == 'most_trusted' %}, {{ most_trusted_first() }}
    {%- elif rule == 'most_frequent' %}, {{ attribute.name }}__votes desc
    {%- elif rule == 'longest' %}, length(cast({{ attribute.name }} as varchar)) desc
    {%- endif -%}
    , updated_at desc nulls last, contact_key
{%- endmacro %}

{# How many records of the customer agree, for the rules that ask. #}
{% macro survivorship_votes() -%}
    {%- for attribute in golden_attributes() if attribute.config.meta.survivorship.rule == 'most_frequent' %},
        count({{ attribute.name }}) over (partition by customer_id, {{ attribute.name }}) as {{ attribute.name }}__votes
    {%- endfor -%}
{%- endmacro %}

{# Value, source and date of each golden attribute; for a select grouped by customer_id. #}
{% macro survivors() -%}
    {%- set attributes = golden_attributes() -%}
    {%- for attribute in attributes %}
        {%- set group = attribute.config.meta.survivorship.group -%}
        {%- set members = [] -%}
        {%- for other in attributes if other.name == attribute.name or (group and other.config.meta.survivorship.group == group) -%}
            {%- do members.append(other.name) -%}
        {%- endfor -%}
        {%- set leader = (attributes | selectattr('name', 'equalto', members[0]) | first) -%}
        {%- set order = survivorship_order(leader, members) %},
        {{ first_by(attribute.name, order) }} as {{ attribute.name }},
        {{ first_by('case when ' ~ attribute.name ~ ' is not null then source_system end', order) }} as {{ attribute.name }}_source,
        {{ first_by('case when ' ~ attribute.name ~ ' is not null then updated_at end', order) }} as {{ attribute.name }}_updated_at
    {%- endfor -%}
{%- endmacro %}
