"""The owners' console: a small web application on the same database and the same functions as the command line.

Starlette and Jinja2, rendered on the server; nothing here decides about people, and no rule is written twice.
"""
