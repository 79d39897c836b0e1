select
    measured.day,
    measured.image_id,
    measured.model_digest,
    measured.preprocess_digest,
    measured.is_blurred,
    -- A Float32 has seven digits.
    round(cast(measured.brightness_mean as double), 3) as brightness_mean,
    measured.inferred_at
from {{ lake_table("image_quality") }} as measured
inner join {{ ref("stg_raw_images") }} as photos
    on photos.day = measured.day
    and photos.image_id = measured.image_id
    -- What was measured of bytes that were overwritten since does not count.
    and photos.sha256 = measured.sha256
where photos.status = 'accepted' and {{ in_window("measured.day") }}
