"""The views and decisions of people, for the command line and for the console.

Each question or decision of a person is one function here, and both call it. The functions know neither a terminal nor
a web page, and they make no rule about people.
"""
