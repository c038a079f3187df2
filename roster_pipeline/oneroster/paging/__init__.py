"""Reads a collection page by page to its end, and proves that no record is missing."""
