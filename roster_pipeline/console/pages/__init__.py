"""The pages. Each says with `@route` what it answers; `console/app.py` imports them all."""
