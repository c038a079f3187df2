"""What happens to people: cleaning, matching, planning, judging. Pure functions over pandas frames; the only I/O
is reading the files of the quality suite.

Nothing reads a network, a database or a clock; whatever decides comes in as an argument. Exception texts and
findings carry counts and names of rules, never a value of a record.
"""
