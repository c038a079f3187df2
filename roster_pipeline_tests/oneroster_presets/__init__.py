"""The supported SIS list and its pages."""
