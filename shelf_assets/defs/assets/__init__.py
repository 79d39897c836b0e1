"""The graph, one file per noun. Read in this order: landing, raw_images, image_tensors, predictions, marts.

Assets are thin: they declare what they need, call plain functions of `pipeline`, and return value and metadata.

Only the marts have a backfill policy; the others get Dagster's own, one run per day. `BackfillPolicy.multi_run(1)` is not the
same: its runs carry a range of one day, Dagster 1.13 then records their checks without a partition, and whatever waits for
the day's blocking checks waits for ever.
"""
