select
    day,
    image_id,
    sha256,
    model_id,
    model_digest,
    preprocess_digest,
    label,
    -- A Float32 has seven digits; as a double its 0.35 would be 0.3499999 and lie below a threshold of 0.35.
    round(cast(confidence as double), 6) as confidence,
    inferred_at
from {{ lake_table("classifications") }}
where {{ in_window("day") }}
