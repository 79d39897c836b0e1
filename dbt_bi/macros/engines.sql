{#- What DuckDB and Databricks spell differently: where a Delta table is found, a list of days, a percentile. -#}

{%- macro lake_table(name) -%}
    {{- return(adapter.dispatch("lake_table")(source("lake", name))) -}}
{%- endmacro -%}

{#- A log that the writers of several tables append to. It is no asset, so in the graph it stands behind those tables: as a
    source of its own Dagster would wait for it for ever. -#}
{%- macro lake_log(name, written_by) -%}
    {%- set tables = [] -%}
    {%- for table in written_by -%}
        {%- do tables.append(source("lake", table)) -%}
    {%- endfor -%}
    {{- return(adapter.dispatch("lake_table")(tables[0].incorporate(path={"identifier": name}))) -}}
{%- endmacro -%}

{#- A catalogue knows the table by its name. -#}
{%- macro default__lake_table(relation) -%}
    {{- return(relation) -}}
{%- endmacro -%}

{#- Read where it rests: SHELF_LAKE_URL is file:///absolute/path or s3://bucket/prefix, and tables lie under tables/. -#}
{%- macro duckdb__lake_table(relation) -%}
    {%- if not execute -%}
        {{- return(relation) -}}
    {%- endif -%}
    {%- set root = env_var("SHELF_LAKE_URL", "") -%}
    {%- if not (root.startswith("file:///") or root.startswith("s3://")) -%}
        {{- exceptions.raise_compiler_error(
            "SHELF_LAKE_URL is '" ~ root ~ "'; set it to file:///absolute/path or s3://bucket/prefix"
        ) -}}
    {%- endif -%}
    {%- set url = root.rstrip("/") ~ "/tables/" ~ relation.identifier -%}
    {{- return("delta_scan('" ~ url | replace("'", "''") ~ "')") -}}
{%- endmacro -%}


{#- Select of one column `day`: every day of the window, ascending. -#}
{%- macro days_of_window() -%}
    {{- return(adapter.dispatch("days_of_window")(window_day("first_day"), window_day("last_day"))) -}}
{%- endmacro -%}

{%- macro default__days_of_window(first_day, last_day) -%}
    select explode(sequence(date '{{ first_day }}', date '{{ last_day }}', interval 1 day)) as day
{%- endmacro -%}

{%- macro duckdb__days_of_window(first_day, last_day) -%}
    select cast(unnest(generate_series(date '{{ first_day }}', date '{{ last_day }}', interval 1 day)) as date) as day
{%- endmacro -%}


{#- Exact percentile, interpolated between neighbours; share lies in 0..1. -#}
{%- macro percentile_of(column, share) -%}
    {{- return(adapter.dispatch("percentile_of")(column, share)) -}}
{%- endmacro -%}

{%- macro default__percentile_of(column, share) -%}
    percentile({{ column }}, {{ share }})
{%- endmacro -%}

{%- macro duckdb__percentile_of(column, share) -%}
    quantile_cont({{ column }}, {{ share }})
{%- endmacro -%}
