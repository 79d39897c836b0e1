"""Fuzzing of the sanitizer. `make fuzz` runs it; the tests of `photos` replay the resulting corpus."""
