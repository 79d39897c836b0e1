{#- A run reports a stage and day once: a second row would be paid twice. -#}
{{ config(meta={"dagster": {"ref": {"name": "pipeline_cost_daily"}}}) }}
-- depends_on: {{ ref("pipeline_cost_daily") }}
select day, run_id, stage, count(*) as rows_found
from {{ ref("stg_stage_runs") }}
group by day, run_id, stage
having count(*) > 1
