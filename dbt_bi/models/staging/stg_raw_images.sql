select
    day,
    key,
    image_id,
    sha256,
    status,
    reason,
    near_duplicate_group,
    uploader,
    size_bytes
from {{ lake_table("raw_images") }}
where {{ in_window("day") }}
