"""The daily work without Dagster: validate a day's objects, make tensors, infer, plan, calibrate."""
