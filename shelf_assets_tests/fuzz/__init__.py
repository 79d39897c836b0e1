"""Fuzzing: what is given bytes that nobody thought of. `make fuzz` runs it; what it found interesting is replayed in `intake`."""
