"""The one partition dimension: a school. Keys follow the table `school` and are never deleted by themselves."""

import dagster as dg

schools = dg.DynamicPartitionsDefinition(name="schools")
