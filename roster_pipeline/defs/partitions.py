"""The one partition dimension: a school. Keys follow the table `school` and are never deleted by themselves."""

import warnings

import dagster as dg

warnings.filterwarnings("ignore", category=dg.PreviewWarning)  # checks per partition
warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill policies

schools = dg.DynamicPartitionsDefinition(name="schools")
