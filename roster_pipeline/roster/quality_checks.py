"""The names of the quality checks. Apart from their rules, so that who lists them loads no pandas."""

CHECKS: dict[str, str] = {
    "required_fields": "There are people, and each has names and a role.",
    "unique_ids": "A sourcedId is one record, a number is one person.",
    "emails": "E-mail addresses are valid, and nobody shares one.",
    "known_values": "Roles and grades are ones we know.",
    "school_membership": "Every record says which school it belongs to.",
    "contact_references": "The contacts that students name were delivered.",
    "usable_records": "Few records had to be rejected.",
}
"""The checks, as an owner sees them."""
