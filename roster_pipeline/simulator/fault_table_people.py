"""The faults that concern what is said about people and orgs, and who is left out. Reads like `fault_table.py`."""

from roster_pipeline.simulator.faults import Fault

SHARING = (
    Fault("hide_school", "these schools and the people who are in no other are not shared", "IDS", (4,)),
    Fault("no_share", "every collection is empty, with 200", "", (28,)),
    Fault("cold_cache", "every collection is empty for so many seconds", "N", (83,)),
    Fault("role_absent", "people with these first roles are not delivered", "ROLES", (54, 55)),
    Fault("half_school", "half of the people of this school are not delivered", "ID", (81,)),
    Fault("list_omits", "lists leave out N percent, totals agree, single reads answer", "N", (79, 81)),
    Fault("accountless_hidden", "people without username are not delivered (in 1.1 only, or at all)", "1.1|all", (53,)),
    Fault("guardians", "contacts are not delivered, students still point to them", "off", (55,)),
    Fault("between_terms", "students vanish, everybody else stays", "", (74, 79)),
    Fault("grade_hidden", "students of these grades are not shared", "GRADES", (78,)),
    Fault("graduates", "the highest grade is dropped, or has the grade GD", "drop|GD", (84,)),
    Fault("share_classes", "only people enrolled in these classes are delivered", "IDS", (81,)),
    Fault(
        "single_users",
        "single users: always 404; or those who are gone still answered as they were",
        "off|linger",
        (76,),
    ),
)

IDENTITIES = (
    Fault(
        "id_scheme", "ids by role letter (1.1 only: one record per role) or per school, or ids with odd characters",
        "role_prefix|role_suffix|per_school|exotic|case|padded|encoded", (3, 50, 62, 66, 68, 98),
    ),
    Fault(
        "id_field",
        "the number or the state's number is the sourcedId; staff with a prefix",
        "number|state_id",
        (5, 73),
    ),
)  # fmt: skip

PEOPLE = (
    Fault("passwords", "every user has a password member", "", (67,)),
    Fault("service_accounts", "two people per school are called Test Account", "", (52,)),
    Fault("nameless", "two students per school have no name", "", (71,)),
    Fault("odd_names", "quotes, backslashes, markup, blanks at both ends", "", (68,)),
    Fault("long_names", "family names of several hundred characters", ""),
    Fault("email", "how e-mail goes wrong", "null_text|empty|absent|shared|invalid|upper", (51,)),
    Fault("username", "usernames are missing or empty", "empty|absent", (51,)),
    Fault("teacher_without_number", "the first teacher of each school has no number", "", (71,)),
    Fault("number_in", "where the number stands", "identifier|user_ids|master|metadata", (73,)),
    Fault("user_ids", "seven kinds of userIds", "untis", (58,)),
    Fault(
        "agents",
        "links missing, on one side only, to nobody, to a teacher",
        "off|one_sided|reverse|dangling|teacher",
        (55, 69),
    ),
    Fault(
        "staff_as",
        "aides, proctors and counselors: administrators, not delivered, or both",
        "administrator|absent|both",
        (54,),
    ),
    Fault("role_missing", "the first teacher of each school has no role", "empty|null", (63,)),
    Fault("unknown_roles", "staff have roles outside the vocabulary", "", (54,)),
    Fault("roles_case", "roles in capitals and with blanks, or in title case", "upper|title"),
    Fault("role_dates", "ended, future, current and open roles in turn (1.2)", "rotate", (85,)),
    Fault("two_primaries", "every role is primary (1.2)", ""),
    Fault("orgs_empty", "no orgs for everybody, a few, or one role", "all|few|ROLE", (75,)),
    Fault("enabled", "enabledUser says little", "students_off|few_off|always|all_off", (86,)),
    Fault("japan", "kana and class in metadata.jp, official names withheld, no agents", "", (72,)),
)

SHAPES = (
    Fault(
        "status",
        "statuses outside the vocabulary, empty, or constant",
        "unknown|empty|inactive|upper|absent|constant",
        (77, 80),
    ),
    Fault(
        "dates",
        "spellings of dateLastModified; set_back: all of 2000",
        "rotate|now|constant|set_back|empty|garbage",
        (61,),
    ),
    Fault("booleans", "spellings of enabledUser", "rotate|json|absent|garbage", (65,)),
    Fault("grades", "grades that are no list of codes", "empty|text|number|null|spelled|old_name", (64,)),
    Fault("href", "unusable href in references", "tilde|internal|empty", (48,)),
    Fault(
        "references",
        "references as bare text, without sourcedId, as the address alone, with blanks that differ",
        "bare|without_id|address|padded|trimmed",
        (48, 68),
    ),
    Fault("lists", "lists that are null, one object, or one text", "null|object|text", (47,)),
    Fault("types", "numbers for texts, a list for metadata", ""),
    Fault("nulls", "every optional member is present and null", "", (59,)),
    Fault("both_generations", "1.2 records carry contradicting role and orgs as well", ""),
    Fault("extra_members", "unknown members, one differing by case only", ""),
    Fault("missing_id", "the fourth student of each school has no sourcedId", ""),
    Fault("member_case", "all member names in lower case", "", (70,)),
    Fault(
        "org_type",
        "schools are departments; mixed: references too have many types",
        "department|departments|mixed",
        (56,),
    ),
    Fault("org_parent", "parent of an org is empty or null", "empty|null", (49,)),
    Fault("org_identifier", "identifiers of schools missing, or the same for all", "absent|doubled"),
)

PEOPLE_FAULTS: tuple[Fault, ...] = (*SHARING, *IDENTITIES, *PEOPLE, *SHAPES)
