"""The owners' console: a small web application on the database and the functions of the command line. Nothing here
decides about people, and no rule is written twice."""
