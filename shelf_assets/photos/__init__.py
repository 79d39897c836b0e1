"""Photos: limits and rules of acceptance, the validator that applies them, and the sanitizer that re-encodes accepted ones.

`decoder_pool` runs the sanitizer in bounded processes. No Dagster, no torch; uploads are in `intake`.
"""
