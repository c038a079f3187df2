"""What can go wrong between us and an identity provider, in words; never with a token or a person's address."""

from __future__ import annotations


class ProviderAway(Exception):
    """The provider does not answer, or not as it should."""

    def __init__(self, what: str) -> None:
        self.message = f"The identity provider {what}."
        self.remedy = "Try again in a minute. If it stays so, whoever runs the console should look at its settings."
        super().__init__(self.message)


class TokenRefused(Exception):
    """What the provider sent does not prove who somebody is."""

    def __init__(self, what: str) -> None:
        self.message = f"The identity provider did not prove who you are: {what}."
        self.remedy = "Try again from the beginning."
        super().__init__(self.message)
