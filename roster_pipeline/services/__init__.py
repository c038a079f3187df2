"""What a person looks at and decides, for the command line and the console alike.

Here: the questions and decisions of people, each in one function that both call. Nothing in it knows a terminal or a
web page, and no rule about people is made here.
"""
