"""The demo: one district, three schools, two simulated SISs, three nights through Dagster."""

from roster_pipeline.demo.nights import run_demo

__all__ = ["run_demo"]
