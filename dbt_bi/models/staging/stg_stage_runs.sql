select
    day,
    run_id,
    stage,
    coalesce(model_id, 'none') as model_id,
    images,
    bytes_read,
    wall_seconds,
    cpu_seconds,
    peak_memory_bytes
from {{ lake_log("stage_runs", written_by=stages_with_tables()) }}
where {{ in_window("day") }}
