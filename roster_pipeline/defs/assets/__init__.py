"""The assets: thin shells around `roster_pipeline.sync`, one file each. Nothing is decided here."""

from roster_pipeline.defs.assets.applied_changes import applied_changes
from roster_pipeline.defs.assets.cleaned_roster import cleaned_roster
from roster_pipeline.defs.assets.raw import raw
from roster_pipeline.defs.assets.roster_diff import roster_diff

ASSETS = [raw, cleaned_roster, roster_diff, applied_changes]

__all__ = ["ASSETS", "applied_changes", "cleaned_roster", "raw", "roster_diff"]
