"""Dagster only: assets, checks, jobs, schedules, sensors, resources and partitions."""
