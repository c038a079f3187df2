"""A collection read page by page to its end, and the proof that nobody is missing."""
