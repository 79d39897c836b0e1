"""Questions about a day's content: do the counts add up, do too many photos fail to decode, is every photo predicted."""

import polars as pl

from shelf_assets.defs.checks.common import Check, DayUnderCheck, Result, first_few
from shelf_assets.defs.landing_reports import digest
from shelf_assets.lake.commit_info import newest_commit_info
from shelf_assets.lake.ledger import ACCEPTED, DUPLICATE, REJECTED, TRANSIENT_REASONS, accepted_twice
from shelf_assets.lake.schemas import RAW_IMAGES


def every_object_has_a_row(day: DayUnderCheck) -> Result:
    rows = day.rows(RAW_IMAGES.name).select("key", "status").collect()
    counts = {status: rows.filter(status=status).height for status in (ACCEPTED, DUPLICATE, REJECTED)}
    listed = day.lake.listing(day.day)
    missing = listed.join(rows, on="key", how="anti").height
    if missing:
        recorded = newest_commit_info(day.lake.table(RAW_IMAGES.name), day.day)
        if recorded and "landed" in recorded and recorded.get("listing_digest") != digest(listed):
            # The listing has changed since the commit: objects that came later are the next run's, however old their time.
            missing = max(0, int(recorded["landed"]) - sum(counts.values()))
    unknown = rows.height - sum(counts.values())
    lost = f"{missing} of {listed.height} landed objects have no row{': materialize raw_images' if missing else ''}"
    return (
        not missing and not unknown,
        f"{lost}, {unknown} rows have no known status",
        {"landed": listed.height, **counts},
    )


def no_bytes_accepted_twice(day: DayUnderCheck) -> Result:
    twice = accepted_twice(day.lake.table(RAW_IMAGES.name).known_rows(), day.day)
    return twice.is_empty(), first_few("sha256 accepted more than once", twice), {}


def every_photo_is_a_tensor_or_a_reason(day: DayUnderCheck) -> Result:
    tensors, limit = day.ingest.tensors, day.settings.decode_failure_limit
    accepted = day.lake.accepted(day.day)
    index = tensors.day(day.day).index().entries
    # If tensors are not made ahead, the predictions decode photos without one, and only failures are recorded.
    lost = accepted.join(index, on="sha256", how="anti") if tensors.made_ahead else accepted.clear()
    without = accepted.join(index.filter(pl.col("reason").is_not_null()).drop("image_id"), on="sha256")
    # Objects that were deleted or overwritten do not count as decoder failures: they would stop their day for ever.
    failed = without.filter(~pl.col("reason").is_in(TRANSIENT_REASONS))
    share = failed.height / accepted.height if accepted.height else 0.0
    return (
        lost.is_empty() and share <= limit,
        first_few("accepted photos with neither tensor nor reason", lost["image_id"])
        or f"{failed.height} of {accepted.height} photos failed to decode; the limit is {limit:.0%}",
        {
            "accepted": accepted.height,
            "failed": failed.height,
            "failure_share": share,
            "gone": without.height - failed.height,
        },
    )


def every_photo_is_predicted(table: str) -> Check:
    """The check for the configured model; rows of other models do not count."""

    def predicted(day: DayUnderCheck) -> Result:
        (predictor,) = day.predict.models.predictors([table])
        due = day.ingest.tensors.day(day.day).index().not_failed(day.lake.accepted(day.day))
        rows = day.rows(table).filter(
            model_digest=predictor.spec.model_digest, preprocess_digest=predictor.preprocess_digest
        )
        keys = rows.select("image_id", "sha256").collect()
        lost = due.join(keys, on=["image_id", "sha256"], how="anti")
        return (
            lost.is_empty(),
            first_few("photos without a prediction", lost["image_id"]),
            {"due": due.height, "rows": keys.height},
        )

    return predicted
