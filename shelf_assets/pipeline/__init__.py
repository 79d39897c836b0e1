"""The daily work without Dagster: stages, validation of a day's objects, tensors, inference, plan, costs, calibration."""
