"""The processes of an installation: databases, Dagster's instance and UI, run queue, workers, and one school's run."""
