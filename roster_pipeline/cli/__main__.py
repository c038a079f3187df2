"""`python -m roster_pipeline.cli`: the `roster` command without its script."""

from roster_pipeline.cli import main

main()
