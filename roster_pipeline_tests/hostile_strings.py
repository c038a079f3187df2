"""People with names, e-mails, phones and numbers that tests can search for in all output about a school."""

from roster_pipeline.simulator import District

POISON = ("zyxpoison", "qqleak", "5550199777", "99887766")
"""The marks in the values, lower-case."""


def hostile_strings(district: District) -> None:
    """Give everybody of a simulated SIS such values."""
    for place, person in enumerate(list(district.people())):
        district.edit(
            person.sourced_id,
            given_name=f"Zyxpoison{place}",
            family_name=f"Zyxpoison-{place}'\"%s",
            email=f"qqleak{place}@zyxpoison.example",
            sms=f"+1 5550199777{place}",
            identifier=f"99887766{place}",
            username=f"qqleak{place}",
        )


def leaked(said: str) -> list[str]:
    """Which of these values are in a text."""
    return [word for word in POISON if word in said.lower()]
