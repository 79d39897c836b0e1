with summed as (
    select
        day,
        stage,
        model_id,
        count(distinct run_id) as runs,
        sum(images) as images,
        sum(bytes_read) as bytes_read,
        sum(wall_seconds) as wall_seconds,
        sum(cpu_seconds) as cpu_seconds,
        max(peak_memory_bytes) as peak_memory_bytes
    from {{ ref("stg_stage_runs") }}
    group by day, stage, model_id
),

priced as (
    select
        *,
        {{ eur_per_hour("stage") }} as eur_per_hour
    from summed
)

select
    day,
    stage,
    model_id,
    cast(runs as bigint) as runs,
    cast(images as bigint) as images,
    cast(bytes_read as bigint) as bytes_read,
    round(wall_seconds, 6) as wall_seconds,
    round(cpu_seconds, 6) as cpu_seconds,
    cast(peak_memory_bytes as bigint) as peak_memory_bytes,
    round(images / nullif(wall_seconds, 0), 3) as images_per_second,
    eur_per_hour,
    round(wall_seconds / 3600 * eur_per_hour, 6) as cost_eur,
    round(wall_seconds / 3600 * eur_per_hour * 1000 / nullif(images, 0), 6) as eur_per_1000_images
from priced
