select
    predictions.day,
    predictions.image_id,
    predictions.sha256,
    predictions.model_id,
    predictions.model_digest,
    predictions.preprocess_digest,
    predictions.label,
    -- Photos from before there were groups are pictures of their own.
    coalesce(photos.near_duplicate_group, photos.image_id) as picture,
    photos.uploader,
    -- A Float32 has seven digits; as a double its 0.35 would be 0.3499999 and lie below a threshold of 0.35.
    round(cast(predictions.confidence as double), 6) as confidence,
    predictions.inferred_at
from {{ lake_table("classifications") }} as predictions
inner join {{ ref("stg_raw_images") }} as photos
    on photos.day = predictions.day
    and photos.image_id = predictions.image_id
    -- A photo overwritten under its key is another photo: what was said of the old bytes does not count.
    and photos.sha256 = predictions.sha256
where photos.status = 'accepted' and {{ in_window("predictions.day") }}
