"""Plans for people, and the guards that judge them. Pure functions over pandas frames.

Nothing reads a network, a database or a clock; every input is an argument. Exception texts and findings contain
counts and names of rules, never a value of a record.
"""
