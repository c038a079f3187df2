"""Orgs, users and enrollments of one connection, read page by page to their end, and one pull of all of them."""
