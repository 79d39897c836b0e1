{#- Incremental strategy `replace_days`: after a run the table holds, for the days of the window, exactly the rows of
    that run. A day that became empty loses its rows, which delete+insert by key and partition overwrite both miss. -#}

{%- macro get_incremental_replace_days_sql(arg_dict) -%}
    {{- return(adapter.dispatch("get_incremental_replace_days_sql")(arg_dict)) -}}
{%- endmacro -%}


{#- Both statements run in the transaction of the model: a reader sees the old day or the new one. -#}
{%- macro default__get_incremental_replace_days_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    delete from {{ arg_dict["target_relation"] }} where {{ in_window("day") }};
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{%- endmacro -%}


{#- Delta on Databricks has no transaction over two statements, but one statement that does both. -#}
{%- macro databricks__get_incremental_replace_days_sql(arg_dict) -%}
    {%- do arg_dict.update({"incremental_predicates": [in_window("day")]}) -%}
    {{- return(get_replace_where_sql(arg_dict)) -}}
{%- endmacro -%}
