"""`python -m roster_pipeline.simulator`: serve one simulated district, or several below prefixes."""

from roster_pipeline.simulator.command import main

if __name__ == "__main__":
    main()
