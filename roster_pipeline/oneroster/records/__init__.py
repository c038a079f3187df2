"""Single records of a payload, normalised to the shape of OneRoster 1.2."""
