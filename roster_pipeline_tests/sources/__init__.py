"""Sources in the shapes of real ones, with invented people: over REST and in CSV, in whole syncs."""
