"""The pages. Each module exports `routes`; `console/app.py` joins them."""
