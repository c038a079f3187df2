"""The demo: one district, three schools, two simulated SISs, three evenings through Dagster."""

from roster_pipeline.demo.evenings import run_demo

__all__ = ["run_demo"]
