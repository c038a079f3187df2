"""The ways in: a one-time link by e-mail, and OpenID Connect."""
