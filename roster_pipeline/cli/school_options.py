"""Everything an owner chooses for one school, as options of `roster school add|set`."""

from __future__ import annotations

from roster_pipeline.cli.options import SettingOption

ROLES = {"students": "students", "teachers": "teachers", "staff": "staff", "admins": "administrators"}


def _role_options(role: str, people: str) -> tuple[SettingOption, ...]:
    return (
        SettingOption(
            f"--{role}/--no-{role}", (role, "rostered"), bool, f"Whether {people} are rostered. Default: no."
        ),
        SettingOption(
            f"--{role}-auto-update/--no-{role}-auto-update",
            (role, "auto_update"),
            bool,
            f"Whether {people} already in the directory follow the SIS. Default: no, they are skipped.",
        ),
        SettingOption(
            f"--{role}-archive/--no-{role}-archive",
            (role, "archive"),
            bool,
            f"Whether {people} gone from the SIS are archived. Default: no, they stay.",
        ),
    )


ROLE_OPTIONS = tuple(option for role, people in ROLES.items() for option in _role_options(role, people))

PAIR_OPTIONS = (
    SettingOption(
        "--map",
        (),
        list[str],
        "Which group a role of the SIS belongs to, for example ext:officeStaff=staff. Repeat for more.",
        "ROLE=GROUP",
    ),
    SettingOption("--unmap", (), list[str], "Take a mapping of --map away.", "ROLE"),
    SettingOption(
        "--guard",
        (),
        list[str],
        "A guard's limit, for example archive_share=0.2, or =default. Repeat for more. Names: roster school show.",
        "NAME=VALUE",
    ),
    SettingOption(
        "--blackout", (), list[str], "Dates (both inclusive) in which the sync changes nothing.", "FIRST:LAST"
    ),
    SettingOption(
        "--add-only", (), list[str], "Dates (both inclusive) in which the sync only adds people.", "FIRST:LAST"
    ),
    SettingOption("--no-windows", (), bool, "Take all --blackout and --add-only dates away first."),
    SettingOption(
        "--quality",
        (),
        list[str],
        "Tune a quality rule: RULE=0.95 (the share that must pass), RULE=error, warning, off, or default.",
        "RULE=VALUE",
    ),
)

SCHOOL_OPTIONS = (
    SettingOption(
        "--school-id",
        ("school_id",),
        str,
        "sourcedId of the school's org in the SIS (or its identifier), the School ID.",
    ),
    *ROLE_OPTIONS,
    SettingOption(
        "--contacts/--no-contacts",
        ("primary_contacts",),
        bool,
        "Include Primary Parent Contact Info: one primary contact per student. Default: no.",
    ),
    SettingOption(
        "--contacts-most",
        ("contacts_most",),
        int,
        "How many contacts of a student are kept in order, the primary one included: 1 to 5. Default: 1.",
    ),
    SettingOption(
        "--report-to",
        ("report_to",),
        list[str],
        "Roster Email: who gets the report. Repeat for more; replaces the list.",
        "EMAIL",
    ),
    SettingOption(
        "--report-when",
        ("report_when",),
        str,
        "After every sync, only on changes and problems, or as one mail a day. Default: every.",
        "[every|problems|daily]",
    ),
    SettingOption(
        "--report-attachment",
        ("report_attachment",),
        str,
        "Attach the rows of the plan as CSV, with ids alone or with masked names too. Default: none.",
        "[none|ids|masked]",
    ),
    SettingOption(
        "--automatic/--no-automatic",
        ("automatic",),
        bool,
        "Enable Automatic Rostering: the school takes part every night. Default: no.",
    ),
    SettingOption("--sync-time", ("sync_time",), str, "The sync's local time. Default: 20:00.", "HH:MM"),
    SettingOption("--time-zone", ("time_zone",), str, "The school's time zone. Default: UTC.", "ZONE"),
    SettingOption(
        "--first-sync",
        ("first_sync",),
        str,
        "The first sync waits for approval, or is applied at once. Default: approve.",
        "[approve|apply]",
    ),
    SettingOption(
        "--preferred-names/--legal-names",
        ("preferred_names",),
        bool,
        "Which name the directory shows, where the SIS has both. Default: the legal one.",
    ),
    SettingOption(
        "--phone-region", ("phone_region",), str, "Country of phone numbers without a country code. Default: US.", "CC"
    ),
    SettingOption(
        "--include-orgs-below/--school-alone",
        ("include_orgs_below",),
        bool,
        "Whether orgs below the school (a campus, a department) count as the school. Default: no.",
    ),
    SettingOption(
        "--restore-archived-by-hand/--keep-archived-by-hand",
        ("restore_archived_by_hand",),
        bool,
        "Whether a sync may restore people who were archived by hand. Default: no.",
    ),
    *PAIR_OPTIONS,
)
