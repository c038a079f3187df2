"""The owners' console: a small web application. It uses the same database and the same functions as the command line.

It uses Starlette and Jinja2, and renders its pages on the server. Nothing here decides about people, and no rule is
written twice.
"""
