"""The views and decisions of people: one function each, for the command line and for the console. They know neither a
terminal nor a web page, and make no rule about people."""
