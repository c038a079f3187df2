"""The names of what is kept of a person, a membership and a contact; roster, plan and directory share them."""

from __future__ import annotations

PERSON_FIELDS = (
    "given_name",
    "family_name",
    "middle_name",
    "preferred_given_name",
    "preferred_family_name",
    "email",
    "phone",
    "username",
    "number",
    "enabled",
)
"""What the sync keeps of a person; every one is text but `enabled`. `number` is of the kind `number_kind`."""

MEMBERSHIP_FIELDS = ("role", "grade", "source_role", "source_grade")
"""What the sync keeps of a membership."""

CONTACT_FIELDS = (
    "contact_sourced_id",
    "contact_given_name",
    "contact_family_name",
    "contact_relationship",
    "contact_email",
    "contact_phone",
    "contact_flags",
)
"""The primary contact in roster rows and plan changes; the table `contact` holds the same without the prefix.

`contact_flags` is a JSON object of texts: what the SIS says of the contact, for the keys that the connection keeps.
"""

MORE_CONTACTS = "more_contacts"
"""The contacts behind the primary one, in order: a JSON list with a list per contact, its values in the order of
`CONTACT_FIELDS`. Equal contacts are equal texts. In a roster, a list of one id alone is a contact that was not
delivered: not known, which is not the same as none."""

STUDENT_CONTACTS = (*CONTACT_FIELDS, MORE_CONTACTS)
"""All that a roster row, a plan row and a membership hold of contacts."""

ROLE_NAMES = {
    "student": ("student", "students"),
    "teacher": ("teacher", "teachers"),
    "staff": ("staff member", "staff"),
    "admin": ("admin", "admins"),
    "contact": ("contact", "contacts"),
}


def counted(number: int, one: str, many: str) -> str:
    """`1 archival`, `1,200 archivals`."""
    return f"{number:,} {one if number == 1 else many}"


def role_name(role: str) -> str:
    """The role group in the plural, as a sentence has it."""
    return ROLE_NAMES.get(role, (role, role))[1]


def people_of(role: str, number: int) -> str:
    """`1 student`, `1,200 students`."""
    return counted(number, *ROLE_NAMES.get(role, (role, role)))
