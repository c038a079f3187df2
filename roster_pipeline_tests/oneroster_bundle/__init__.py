"""CSV bundles: what is read, what is refused, and how they are fetched."""
