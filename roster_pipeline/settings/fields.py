"""The name and the meaning of each setting: one table for the form, the options, the audit and `docs/cli.md`. The
settings of connections are in `connection_fields.py`.

The models (`school.py`) hold types, bounds and defaults. A test compares the two, so neither has a setting that the
other lacks. This module has only plain data, so that the help of a command does not load the models.
"""

from dataclasses import dataclass

from roster_pipeline.settings.connection_fields import CLIENT_SECRET, CONNECTION, DISTRICT, Choices, Setting, advanced

REPORT_WHEN: Choices = (
    ("every", "After every sync"),
    ("problems", "Only on changes and problems"),
    ("daily", "One mail a day for all schools"),
)
ATTACHMENTS: Choices = (
    ("none", "Nothing"),
    ("ids", "The changes as CSV, with ids alone"),
    ("masked", "The changes as CSV, with masked names"),
)
FIRST_SYNC: Choices = (("approve", "Waits until somebody approves it"), ("apply", "Is applied at once"))
WINDOW_KINDS: Choices = (("blackout", "Nothing is changed"), ("add_only", "People are only added"))
SEVERITIES: Choices = (("", "As usual"), ("error", "Error"), ("warning", "Warning"), ("off", "Off"))


def _role(name: str, title: str, people: str) -> tuple[Setting, ...]:
    return (
        Setting(f"{name}.rostered", title, f"Whether {people} are rostered.", False, f"--{name}/--no-{name}"),
        Setting(
            f"{name}.auto_update",
            f"{title}: Auto update",
            f"Whether {people} already in the directory follow the SIS; otherwise they are skipped.",
            False,
            f"--{name}-auto-update/--no-{name}-auto-update",
        ),
        Setting(
            f"{name}.archive",
            f"{title}: Archive",
            f"Whether {people} gone from the SIS are archived; otherwise they stay.",
            False,
            f"--{name}-archive/--no-{name}-archive",
        ),
    )


ROLES = {"students": "Students", "teachers": "Teachers", "staff": "Staff", "admins": "Admins"}
"""The name of each role group in the settings, and its title."""

SCHOOL = (
    Setting(
        "school_id",
        "School ID",
        "The sourcedId of the school's org in the SIS, or its identifier.",
        shown_default="required",
    ),
    *_role("students", ROLES["students"], "students"),
    *_role("teachers", ROLES["teachers"], "teachers"),
    *_role("staff", ROLES["staff"], "staff (aides, proctors, counselors)"),
    *_role("admins", ROLES["admins"], "administrators"),
    Setting(
        "primary_contacts",
        "Include Primary Parent Contact Info",
        "One primary contact per student.",
        False,
        option="--contacts/--no-contacts",
    ),
    Setting(
        "contacts_most",
        "Contacts of a student",
        "How many contacts are kept in order, with the primary one: 1 to 5.",
        1,
    ),
    Setting(
        "report_to",
        "Recipients",
        "E-mail addresses that get the report.",
        (),
        shown_default="nobody",
        metavar="EMAIL",
    ),
    Setting("report_when", "When", "When the report is sent.", "every", choices=REPORT_WHEN),
    Setting("report_attachment", "Attached", "What is attached to the report.", "none", choices=ATTACHMENTS),
    Setting("automatic", "Enable Automatic Rostering", "The school is synced every night.", False),
    Setting("sync_time", "Sync time", "The sync's local time.", "20:00", metavar="HH:MM"),
    Setting("time_zone", "Time zone", "The school's time zone, such as America/Chicago.", "UTC", metavar="ZONE"),
    *advanced(
        Setting(
            "first_sync",
            "The first sync",
            "Whether the first sync waits for an approval.",
            "approve",
            choices=FIRST_SYNC,
        ),
        Setting(
            "preferred_names",
            "Show preferred names",
            "If the SIS has both, the directory shows the preferred name instead of the legal one.",
            False,
            option="--preferred-names/--legal-names",
        ),
        Setting(
            "phone_region",
            "Country of phone numbers",
            "Two letters, for phone numbers without a country code.",
            "US",
            metavar="CC",
        ),
        Setting(
            "include_orgs_below",
            "Count orgs below the school as the school",
            "A campus or a department whose parent is the school. The test names how many people they have.",
            False,
            option="--include-orgs-below/--school-alone",
        ),
        Setting(
            "restore_archived_by_hand",
            "Restore people who were archived by hand",
            "Whether a sync may restore people who were archived by hand; otherwise they stay archived.",
            False,
            option="--restore-archived-by-hand/--keep-archived-by-hand",
        ),
        Setting(
            "role_map",
            "Role map",
            "Which group a role of the SIS belongs to: student, teacher, staff, admin or contact. For example: "
            "ext:officeStaff = staff",
            {},
            option=None,
        ),
        Setting("guards", "Guards", "The limits beyond which changes wait for an approval.", option=None),
        Setting("quality", "Quality rules", "How the records of the SIS are judged.", {}, option=None),
    ),
)

GUARDS = (
    Setting("archive_share", "Archived people", "The largest share of a role that one sync may archive.", 0.1),
    Setting(
        "archive_always_allowed",
        "Always allowed archivals",
        "In a small role, this many may be archived at any share. No other change may be held for its size.",
        5,
    ),
    Setting("archive_small_role", "Small role", "A role with at most this many people counts as small.", 50),
    Setting("archive_most", "Most archivals", "How many people of a role one sync may archive, at any share.", 500),
    Setting("shrink_share", "Shrinking role", "By how much a role from the SIS may be smaller than usual.", 0.2),
    Setting("create_share", "New people", "The largest share of new people in a role, after the first sync.", 0.25),
    Setting(
        "restore_share",
        "Restored people",
        "The largest share of a role that may come back from the archive in one sync.",
        0.25,
    ),
    Setting("update_share", "Updated people", "The largest share of a role that may change in one sync.", 0.75),
    Setting(
        "update_key_share",
        "Changed keys",
        "The largest share of a role that may get another e-mail, number, username, name or contact, or "
        "lose a value or the right to log in.",
        0.05,
    ),
    Setting(
        "missing_share",
        "People missing",
        "The largest share of the known people who may be missing, in the whole school.",
        0.5,
    ),
    Setting(
        "strangers_share",
        "Strangers",
        "The largest share of the people from the SIS who may be new, in the whole school.",
        0.5,
    ),
    Setting(
        "lower_grades_share",
        "Lower grades",
        "The largest share of students who may go down a grade. More would look like an old file.",
        0.2,
    ),
    Setting(
        "moved_keys",
        "Moved keys",
        "How many people may get the number, e-mail, username or contact of somebody else. More than that wait.",
        3,
    ),
    Setting(
        "rekeyed_share",
        "New ids",
        "The largest share of people whose SIS id may be new overnight, or may now be somebody else's.",
        0.2,
    ),
    Setting(
        "rejected_share_archive",
        "Unusable records, for archivals",
        "If more than this share of records cannot be used or names no school, nobody is archived.",
        0.05,
    ),
    Setting(
        "rejected_share_all",
        "Unusable records, for everything",
        "If more than this share of records cannot be used, the whole sync waits.",
        0.2,
    ),
    Setting(
        "unknown_org_share",
        "Unknown schools",
        "The share of a role that may name an org that the SIS does not list. Above it, nobody is archived.",
        0.05,
    ),
    Setting(
        "contradictions",
        "Contradictions",
        "How many people may be missing while the SIS still answers for them. If more are, nobody is archived.",
        3,
    ),
    Setting(
        "grace_syncs", "Grace", "For how many complete syncs in a row a missing person stays before being archived.", 0
    ),
    Setting(
        "grace_without_witness",
        "Grace without a second witness",
        "The same for a SIS that cannot be asked for one person. The larger of the two numbers counts.",
        1,
    ),
    Setting("bundle_age_days", "Old bundle", "A CSV bundle is too old if no newer one came for this many days.", 3),
    Setting(
        "bundle_unchanged_days",
        "Unchanged bundle",
        "For how many days a CSV bundle may stay the same, byte for byte.",
        7,
    ),
    Setting("api_unchanged_days", "Unchanged SIS", "For how many days an API may show no change.", 14),
)

NAME = Setting("name", "Name of the school", "For reports and pages.")


@dataclass(frozen=True)
class Section:
    """One page of a school's settings. key: the key in its address. names: its settings, without nested settings."""

    key: str
    title: str
    help: str
    names: frozenset[str]


SECTIONS = (
    Section(
        "connection",
        "Connection",
        "How the SIS is reached, and which of its schools this is.",
        frozenset({setting.name for setting in CONNECTION} | {"school_id"}),
    ),
    Section(
        "synced",
        "What is synced",
        "Whose data come from the SIS, and what a sync may do with people who are already in the directory.",
        frozenset(
            {"name", *ROLES, "primary_contacts", "contacts_most", "preferred_names", "include_orgs_below"}
            | {"restore_archived_by_hand", "role_map", "phone_region"}
        ),
    ),
    Section(
        "report",
        "Roster Email",
        "Who gets a mail about the syncs, and when.",
        frozenset({"report_to", "report_when", "report_attachment"}),
    ),
    Section(
        "schedule",
        "Schedule",
        "Whether the school is synced every night, and at which time.",
        frozenset({"automatic", "sync_time", "time_zone"}),
    ),
    Section(
        "guards",
        "Guards",
        "What is held until somebody decides. The rest of the sync goes on. The limits count for each role.",
        frozenset({"guards", "first_sync"}),
    ),
    Section("quality", "Quality rules", "How the records of the SIS are judged.", frozenset({"quality"})),
)
"""The pages of a school's settings, in the order in which a new school needs them: the first three on its first day."""


TITLES = {setting.name: setting.title for setting in (*DISTRICT, *CONNECTION, *SCHOOL, NAME, CLIENT_SECRET)} | {
    f"guards.{guard.name}": guard.title for guard in GUARDS
}


def title_of(name: str) -> str:
    """The title of a setting that an audit entry names, or of the setting that contains it."""
    return TITLES.get(name) or TITLES.get(name.partition(".")[0], name)
