"""What people see of a run: cost, catalogue metadata, progress, notifications. Imports no asset."""
