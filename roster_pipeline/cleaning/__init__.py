"""From raw records to a typed roster and its rejections, and the quality suite. Pure functions over pandas frames; the
only I/O is reading the files of the quality suite.

Nothing reads a network, a database or a clock. Exception texts and findings contain counts and names of rules, never a
value of a record.
"""
