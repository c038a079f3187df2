"""What the fields of the settings page are called and what they say, where there are many of a kind."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from roster_pipeline.cleaning.quality_suite import QualitySuiteError, installed_suite

SIGN_INS = (
    ("auto", "Found out by asking"),
    ("oauth2", "OAuth 2.0 client credentials"),
    ("oauth1", "OAuth 1.0a"),
    ("bearer", "Static bearer token (the Client Secret)"),
)
VERSIONS = (("auto", "Found out by asking"), ("1.2", "OneRoster 1.2"), ("1.1", "OneRoster 1.1"))
STRATEGIES = (
    ("auto", "Decided by size"),
    ("whole", "The whole SIS once, split here"),
    ("per_school", "One school at a time"),
)
CONTROLLED_BY = (
    ("school", "Managers, and owners of all its schools"),
    ("district", "Managers of the district alone"),
)
REPORT_WHEN = (
    ("every", "After every sync"),
    ("problems", "Only on changes and problems"),
    ("daily", "One mail a day for all schools"),
)
ATTACHMENTS = (
    ("none", "Nothing"),
    ("ids", "The changes as CSV, with ids alone"),
    ("masked", "The changes as CSV, with masked names"),
)
FIRST_SYNC = (("approve", "Waits until somebody approves it"), ("apply", "Is applied at once"))
WINDOW_KINDS = (("blackout", "Nothing is changed"), ("add_only", "People are only added"))
SEVERITIES = (("", "As usual"), ("error", "Error"), ("warning", "Warning"), ("off", "Off"))
ROLE_NAMES = {
    "students": "Students",
    "teachers": "Teachers",
    "staff": "Staff",
    "admins": "Admins",
}
GUARDS = {
    "archive_share": ("Archived people", "Most people of a role that one sync may archive."),
    "archive_always_allowed": (
        "Always allowed archivals",
        "So many pass in a small role, whatever their share, while the rest of the school is calm.",
    ),
    "archive_small_role": ("Small role", "Up to how many people a role counts as small."),
    "archive_most": ("Most archivals", "So many people at most are archived in one sync, whatever their share."),
    "shrink_share": ("Shrinking role", "How much smaller than usual a role may come from the SIS."),
    "create_share": ("New people", "Most new people of a role, after the first sync."),
    "restore_share": ("Restored people", "Most archived people of a role who may come back in one sync."),
    "update_share": ("Updated people", "Most people of a role who may change in one sync."),
    "update_key_share": (
        "Changed keys",
        "Most people of a role who may get another e-mail, number, username, name or contact.",
    ),
    "missing_share": ("People missing", "Most of the people we know who may be missing from the school as a whole."),
    "strangers_share": ("Strangers", "Most of those who come who may be new to the school as a whole."),
    "lower_grades_share": ("Lower grades", "Most students who may go down a grade: more look like an old file."),
    "moved_keys": (
        "Moved keys",
        "So many people may get the number, e-mail, username or contact of somebody else; if more would, they wait.",
    ),
    "rekeyed_share": ("New ids", "Most people whose SIS id may be new overnight, or come as somebody else."),
    "rejected_share_archive": (
        "Unusable records, for archivals",
        "Beyond this share of records that cannot be used, or name no school, nobody is archived.",
    ),
    "rejected_share_all": ("Unusable records, for everything", "Beyond this share the whole sync waits."),
    "unknown_org_share": (
        "Unknown schools",
        "Most people of a role who may name an org that the SIS does not list; beyond this share nobody is archived.",
    ),
    "contradictions": (
        "Contradictions",
        "People missing from the list for whom the SIS still answers; beyond so many nobody is archived.",
    ),
    "grace_syncs": ("Grace", "Complete syncs in a row that somebody must be missing before being archived."),
    "grace_without_witness": (
        "Grace without a second witness",
        "The same, where the SIS answers for no single person.",
    ),
    "bundle_age_days": ("Old bundle", "Days after which a CSV bundle that nothing newer follows is too old."),
    "bundle_unchanged_days": ("Unchanged bundle", "Days for which a CSV bundle may come byte for byte the same."),
    "api_unchanged_days": ("Unchanged SIS", "Days for which an API may show no change at all."),
}
LABELS = {
    "connection-sis": "SIS",
    "connection-url": "URL",
    "connection-token_url": "Token URL",
    "connection-page_size": "Page size",
    "connection-ca_bundle": "Certificates",
    "connection-secret_expires": "Client Secret valid until",
    "connection-controlled_by": "Who may change the connection",
    "connection-student_number_from": "Student number from",
    "connection-staff_number_from": "Staff number from",
    "connection-contact_rules": "Contact rules",
    "connection-contact_relationship_from": "Relationship from",
    "connection-contact_flags": "Kept of a contact",
    "secret": "Client Secret",
    "school-name": "Name of the school",
    "school-school_id": "School ID",
    "school-contacts_most": "Contacts of a student",
    "school-report_to": "Recipients",
    "school-sync_time": "Sync time",
    "school-time_zone": "Time zone",
    "school-role_map": "Role map",
    "school-phone_region": "Country of phone numbers",
    "school-automatic": "Enable Automatic Rostering",
}
"""Fields that can be wrong, as their labels call them."""


def named(field: str, message: str) -> str:
    """A message with the label of its field before it, for the list above the form."""
    label = LABELS.get(field, "")
    if field.startswith("school-guards-windows"):
        label = "Windows"
    elif field.startswith("school-guards-"):
        label = GUARDS.get(field.removeprefix("school-guards-"), ("",))[0]
    elif field.startswith("school-quality-"):
        label = quality_rules().get(field.removeprefix("school-quality-").rpartition("-")[0], "")
    return f"{label}: {message}" if label else message


def quality_rules() -> dict[str, str]:
    """What each quality rule of this installation asks, by its name; none where the suite cannot be read."""
    try:
        return {rule.name: rule.description for rule in installed_suite().rules}
    except QualitySuiteError:
        return {}


@cache
def zones() -> tuple[str, ...]:
    """Names of time zones as people know them, by name."""
    odd = ("Etc/", "SystemV/", "US/", "posix", "right")
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith(odd)))
