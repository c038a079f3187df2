"""Orgs, users and enrollments of one connection, and one pull of all of them."""
