"""The demo: one district, three schools, two simulated SISs, three nights of syncs through Dagster."""
