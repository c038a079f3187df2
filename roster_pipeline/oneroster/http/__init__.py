"""Requests to a SIS: addresses, sign-in, retries, bounds on time and size, typed errors."""
