{#- The price of a stage's hour: from the setting eur_per_hour, else the one that the stage declares. -#}

{#- A stage without a price gives NULL, which the contract of the mart refuses: an unpriced stage is not free. -#}
{%- macro eur_per_hour(stage_column) -%}
    {%- set prices = dict(default_eur_per_hour(), **var("eur_per_hour")) -%}
    case {{ stage_column }}
    {%- for stage, price in prices.items() %}
        {%- if price is not number or price < 0 -%}
            {{- exceptions.raise_compiler_error(
                "eur_per_hour." ~ stage ~ " is '" ~ price ~ "'; give euros per hour as a number of at least 0"
            ) -}}
        {%- endif %}
        when '{{ stage | replace("'", "''") }}' then cast({{ price }} as double)
    {%- endfor %}
    end
{%- endmacro -%}
