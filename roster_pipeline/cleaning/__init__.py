"""Makes a typed roster and its rejections from raw records, and tests the roster with the quality suite.

All are pure functions over pandas frames. The only I/O is reading the files of the quality suite.

Nothing reads a network, a database or a clock. Exception texts and findings contain counts and names of rules, never a
value of a record.
"""
