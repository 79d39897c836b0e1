{#- The days of a run: every day from first_day to last_day, both included. Only the calendar of a run belongs here. -#}

{%- macro window_day(name) -%}
    {#- ISO date of one end of the window. The environment is the second place to look, because a changed --vars makes
        dbt parse the whole project again (7 s of CPU) and a changed DBT_FIRST_DAY does not. -#}
    {%- if not execute -%}
        {{- return("2000-01-01") -}}
    {%- endif -%}
    {%- set given = var(name, env_var("DBT_" ~ name | upper, "")) | string -%}
    {%- if not modules.re.match("^\d{4}-\d{2}-\d{2}$", given) -%}
        {{- exceptions.raise_compiler_error(
            "a run needs its days as ISO dates, but " ~ name ~ " is '" ~ given ~ "'; "
            ~ "say --vars '{first_day: 2025-01-01, last_day: 2025-01-01}' or set DBT_FIRST_DAY and DBT_LAST_DAY"
        ) -}}
    {%- endif -%}
    {{- return(given) -}}
{%- endmacro -%}


{%- macro in_window(column="day") -%}
    {#- Condition with literal dates, so that Delta skips the files of other days. -#}
    {%- set first_day = window_day("first_day") -%}
    {%- set last_day = window_day("last_day") -%}
    {%- if last_day < first_day -%}
        {{- exceptions.raise_compiler_error(
            "the window ends (" ~ last_day ~ ") before it begins (" ~ first_day ~ "): swap first_day and last_day"
        ) -}}
    {%- endif -%}
    {{- return(column ~ " between date '" ~ first_day ~ "' and date '" ~ last_day ~ "'") -}}
{%- endmacro -%}


{#- dbt asks this macro what a test reads; `where: __window__` in dbt_project.yml means the days of the run. -#}
{%- macro get_where_subquery(relation) -%}
    {%- set where = config.get("where", "") -%}
    {%- if where -%}
        {%- set where = where | replace("__window__", in_window("day")) -%}
        {{- return("(select * from " ~ relation ~ " where " ~ where ~ ") as rows_of_the_window") -}}
    {%- endif -%}
    {{- return(relation) -}}
{%- endmacro -%}
