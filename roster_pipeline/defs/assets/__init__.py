"""The assets: thin shells around `roster_pipeline.sync`, one file each. Nothing is decided here."""

import warnings

import dagster as dg

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # the backfill policy of each asset
    warnings.simplefilter("ignore", dg.PreviewWarning)  # its checks per partition
    from roster_pipeline.defs.assets.applied_changes import applied_changes
    from roster_pipeline.defs.assets.cleaned_roster import cleaned_roster
    from roster_pipeline.defs.assets.raw import raw
    from roster_pipeline.defs.assets.roster_diff import roster_diff
    from roster_pipeline.defs.assets.views import VIEWS

ASSETS = [raw, cleaned_roster, roster_diff, applied_changes]

__all__ = ["ASSETS", "VIEWS", "applied_changes", "cleaned_roster", "raw", "roster_diff"]
