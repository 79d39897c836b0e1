{#- Made by `python -m shelf_assets.bi.sources` from the registry of stages and tables; a test keeps it in step. -#}

{#- Names of the stages that have a table, in the order of the graph. -#}
{%- macro stages_with_tables() -%}
    {{- return(["raw_images", "classifications", "clip_embeddings", "image_quality"]) -}}
{%- endmacro -%}

{#- Price of one hour of every stage where the variable eur_per_hour gives none. -#}
{%- macro default_eur_per_hour() -%}
    {{- return({"raw_images": 0.05, "image_tensors": 0.05, "classifications": 0.05, "clip_embeddings": 0.05, "image_quality": 0.05}) -}}
{%- endmacro -%}
