"""Which records and persons are one person: the table of evidence, and what it decides for cleaning and planning.

Pure functions over pandas frames: nothing reads a network, a database or a clock.
"""
