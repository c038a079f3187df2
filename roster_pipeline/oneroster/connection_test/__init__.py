"""The connection test: what works between us and a SIS, item by item. Counts only, no people."""
