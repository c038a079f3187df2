"""How one SIS is reached, as options of `roster connection add|set`."""

from __future__ import annotations

from roster_pipeline.cli.options import SettingOption

SOURCES = "SOURCE"
SOURCES_HELP = "identifier, sourcedId, username, userMasterIdentifier, userIds:TYPE or metadata:KEY"

CONNECTION_OPTIONS = (
    SettingOption(
        "--url", ("url",), str, "Address of the SIS's OneRoster API, as its owner gives it; file:// or sftp:// for CSV."
    ),
    SettingOption("--client-id", ("client_id",), str, "Client ID (the consumer key, where the SIS calls it that)."),
    SettingOption("--sis", ("sis",), str, "Which SIS it is; other if it is not in the list."),
    SettingOption("--token-url", ("token_url",), str, "Where the sign-in token is asked for. Default: found out."),
    SettingOption(
        "--sign-in", ("sign_in",), str, "How to sign in. Default: auto, found out.", "[auto|oauth2|oauth1|bearer]"
    ),
    SettingOption("--scopes", ("scopes",), str, "OAuth scopes, separated by blanks. Default: those of the version."),
    SettingOption("--version", ("version",), str, "OneRoster version. Default: auto, found out.", "[auto|1.1|1.2]"),
    SettingOption("--page-size", ("page_size",), int, "Records per page. Default: 1000; lowered if the SIS caps it."),
    SettingOption("--ca-bundle", ("ca_bundle",), str, "File of certificates to trust beside the public ones."),
    SettingOption("--host-key", ("host_key",), str, "Host key of the SFTP server, as ssh-keyscan prints it."),
    SettingOption(
        "--student-number-from", ("student_number_from",), str, f"Where the student number is: {SOURCES_HELP}.", SOURCES
    ),
    SettingOption(
        "--staff-number-from", ("staff_number_from",), str, f"Where the staff number is: {SOURCES_HELP}.", SOURCES
    ),
    SettingOption(
        "--primary-contact-from",
        ("primary_contact_from",),
        str,
        "Metadata field that marks a student's primary contact, where the SIS has one: metadata:KEY.",
        "metadata:KEY",
    ),
    SettingOption(
        "--contact-rule",
        ("contact_rules",),
        list[str],
        "Which contacts may be called: FIELD=VALUES, or which may not: FIELD!=VALUES. FIELD is role, relationship, "
        'metadata:KEY or agents:KEY. Other values exclude as well. Repeat for more; replaces the list, "" empties it.',
        "FIELD=VALUES",
    ),
    SettingOption(
        "--contact-relationship-from",
        ("contact_relationship_from",),
        str,
        "Where the SIS says what a contact is to the student: metadata:KEY or agents:KEY. Default: the role.",
        "SOURCE",
    ),
    SettingOption(
        "--contact-flag",
        ("contact_flags",),
        list[str],
        "What is kept of a contact besides, for applications: metadata:KEY or agents:KEY. Repeat for more; replaces "
        'the list, "" empties it.',
        "SOURCE",
    ),
    SettingOption(
        "--disabled-means-gone/--disabled-is-a-field",
        ("disabled_means_gone",),
        bool,
        "Whether a user with enabledUser=false counts as gone. Default: it is kept as a field.",
    ),
    SettingOption(
        "--no-enrollment-means-gone/--enrollments-decide-nothing",
        ("no_enrollment_means_gone",),
        bool,
        "Whether a student without a running enrollment has left, at a SIS that never removes people. Default: no.",
    ),
    SettingOption(
        "--allow-private-addresses/--no-private-addresses",
        ("allow_private_addresses",),
        bool,
        "Whether the SIS may be on this machine or in the private network. Default: no.",
    ),
    SettingOption(
        "--strategy",
        ("strategy",),
        str,
        "Pull the whole SIS once and split it here, or one school at a time. Default: auto.",
        "[auto|whole|per_school]",
    ),
    SettingOption(
        "--delta/--no-delta",
        ("delta",),
        bool,
        "Between weekly full pulls, fetch only what changed, if the SIS proves that it can. Default: no.",
    ),
    SettingOption(
        "--controlled-by",
        ("controlled_by",),
        str,
        "Who may change it: also owners of its schools, or managers and operators alone. Default: school.",
        "[school|district]",
    ),
    SettingOption(
        "--secret-expires",
        ("secret_expires",),
        str,
        'Last day on which the Client Secret is valid; mails tell of it 14 and 3 days before. "" takes it away.',
        "YYYY-MM-DD",
    ),
)
