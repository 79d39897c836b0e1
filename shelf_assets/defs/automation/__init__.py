"""When things run: conditions, the arrivals sensor, schedules, run-status sensors. What runs belongs in `assets`."""
