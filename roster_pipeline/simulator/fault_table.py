"""Every deviation from the standard that the simulator can show, one row each.

A fault is written `name` or `name=value`. `faults.py` holds those that are on while the simulator runs. Faults of
records are functions in `person_faults.py` and `json_faults.py`.
"""

from typing import NamedTuple

Value = str | int | float | bool


class Fault(NamedTuple):
    """One row of the registry. values: what may follow `=`, separated by `|`; empty for a plain switch. A word in
    capitals is a placeholder: `N` for a number, any other for a text, often a comma list. The first value is the
    default of a bare name unless it is a placeholder. quirks: the numbers of the deviations of real servers that it
    imitates (list in `docs/oneroster.md`)."""

    name: str
    does: str
    values: str = ""
    quirks: tuple[int, ...] = ()

    def allows(self, value: Value) -> bool:
        """Whether the value is listed, or fits a placeholder."""
        if not self.values:
            return value is True
        for choice in self.values.split("|"):
            if choice == "N" and isinstance(value, int | float) and not isinstance(value, bool):
                return True
            if choice == str(value) or (takes_any_text(choice) and not isinstance(value, bool) and value != ""):
                return True
        return False


def takes_any_text(choice: str) -> bool:
    return choice.isalpha() and choice.isupper() and choice != "N"


ROWS = (
    # signing in
    Fault("sign_in", "only this kind of sign-in is accepted", "oauth2|oauth1|bearer|api_key", (20, 21, 22)),
    Fault("token_path", "the token endpoint is at this path of the host only", "PATH", (1, 14)),
    Fault("token_query", "the token endpoint wants this query parameter", "NAME", (1,)),
    Fault("token_auth", "client id and secret only in the body, or only by Basic header", "body|basic", (8, 12)),
    Fault("scope_required", "a token request without scope is refused", "", (9,)),
    Fault("scope_granted", "only these scopes (last part of the URI) are granted, always", "SCOPES", (9,)),
    Fault("scope_omitted", "the token reply has no scope member", "", (10,)),
    Fault("scope_spelling", "scopes are accepted in one spelling only", "http|short", (15,)),
    Fault("scope_text", "only both scopes in reverse order are accepted", "turned", (15,)),
    Fault("token_members", "the members of the token reply are spelled without underscores", "camel", (23,)),
    Fault("token_moved", "the token endpoint redirects once, on its own host, with this status", "N"),
    Fault("scope_version_bound", "a scope of the other version gives 400 on the API", "", (15,)),
    Fault("scopes_unknown", "scopes are not checked", "", (10,)),
    Fault("token_bare_string", "the token reply is a JSON string instead of an object", "", (11,)),
    Fault("secret_encoding", "the Basic header must be form-encoded, or must not", "raw|encoded", (13,)),
    Fault("grant_type", "grant_type and scope are read from the query only", "query", (16,)),
    Fault("token_form_only", "415 for a token request whose body is not a form", "", (17,)),
    Fault("session_cookie", "401 unless the cookie of the token endpoint comes back", "", (18,)),
    Fault("oauth1_hash", "one hash only for OAuth 1.0a signatures", "sha1|sha256", (21,)),
    Fault("api_key", "every call needs the header X-API-Key as well", "", (22,)),
    Fault("token_error", "the token endpoint gives this status with an HTML page", "N", (93,)),
    Fault("expires_in", "lifetime of tokens: seconds, or the member is text or missing", "N|text|missing", (23,)),
    Fault("credentials_ended", "the client's credentials are no longer valid", "", (20, 23)),
    # pages of a collection
    Fault("page_cap", "pages hold at most N records, whatever limit says", "N", (29, 31, 34)),
    Fault("page_cap_error", "400 for a limit above this", "N", (34,)),
    Fault("limit_zero", "limit=0 gives an empty list and the total", "count", (30,)),
    Fault("link_style", "how Link is written", "no_brackets|typographic|garbage", (32,)),
    Fault("link_next", "where rel=next leads", "always|repeat|back|off_by_one|exact_multiple|missing", (32, 37)),
    Fault("link_target", "the host in Link", "localhost|other_host|http|relative|hostless|port|comma", (38,)),
    Fault("link_drops_query", "Link carries limit and offset only", "", (38,)),
    Fault("link", "no Link header at all", "off", (34,)),
    Fault("offset_ignored", "every page is the first page", "", (33,)),
    Fault("total_header", "X-Total-Count is missing, missing on some, or wrong",
          "off|some|unfiltered|drifting|high|text", (34, 39, 82)),
    Fault("shuffle_ties", "without sort=sourcedId every page has an order of its own", "", (35,)),
    Fault("perm_rev", "x-perm-rev and x-count; the revision changes on the third request", "flip", (36,)),
    Fault("offset_unit", "offset counts pages instead of records", "page", (40,)),
    Fault("endless_pages", "after the end comes the last page again, or new records for ever", "repeat|fresh", (37,)),
    Fault("past_end", "an offset after the end gives this status, an object without a list, or nothing",
          "500|404|400|204|empty_object|empty_body", (34,)),
    Fault("record_missing", "one record is lost at each page boundary", "", (35, 36)),
    Fault("record_doubled", "one record appears on both sides of each page boundary", "", (35, 36)),
    Fault("duplicate_ids", "the last record of each page has the sourcedId of the first", "", (35,)),
    # filter, sort and fields
    Fault("filter_ignored", "clauses on nested, all or the named fields do not count", "nested|all|FIELDS", (41,)),
    Fault("strict_query", "400 for unknown parameters, long values, filters beyond status and date", "", (42,)),
    Fault("filter_unknown", "a filter that cannot be evaluated gives an empty list", "empty", (45,)),
    Fault("filter_broken", "a filter with a syntax error gives everything", "everything", (46,)),
    Fault("filter_refused", "every filter is answered with this status", "N", (42,)),
    Fault("filter_empty", "every filter gives an empty list", "", (45,)),
    Fault("sort_refused", "every sort is answered with this status", "N", (35, 42)),
    Fault("sort_ignored", "sort does nothing", "", (35, 42)),
    Fault("dates_compared", "of dateLastModified only the day is compared", "by_day", (61,)),
    Fault("no_match", "a filter that matches nothing gives 404", "404", (88,)),
    # the JSON around the records, and errors
    Fault("junk_entries", "every Nth entry of a list is not an object", "N"),
    Fault("envelope", "collections under their own name, absent, inside another object or below `user`",
          "own_name|school|missing|wrapped|entries", (25, 26)),
    Fault("user_single_as_list", "a single user comes as a list under users", "", (50,)),
    Fault("lone_object", "a page with one record holds an object instead of a list", "", (47,)),
    Fault("error_shape", "how errors are written", "errors|statusInfoSet|wrapped|bare|modern|plain", (89,)),
    # people who are not served
    Fault("hide_school", "these schools, and people with no other school, are not shared", "IDS", (4,)),
    Fault("no_share", "every collection is empty, with 200", "", (28,)),
    Fault("cold_cache", "every collection is empty for N seconds", "N", (83,)),
    Fault("role_absent", "people with these first roles are not delivered", "ROLES", (54, 55)),
    Fault("half_school", "half of the people of this school are not delivered", "ID", (81,)),
    Fault("list_omits", "lists leave out N percent, totals agree, single reads answer", "N", (79, 81)),
    Fault("accountless_hidden", "people without username are not delivered", "", (53,)),
    Fault("guardians", "contacts are not delivered, students still point to them", "off", (55,)),
    Fault("between_terms", "students vanish, everybody else stays", "", (74, 79)),
    Fault("grade_hidden", "students of these grades are not shared", "GRADES", (78,)),
    Fault("graduates", "students of the highest grade are not delivered", "drop", (84,)),
    Fault("single_users", "404 for a single user: all; all but students, or so in /users only; or leavers are answered",
          "off|students|own_lists|linger", (76,)),
    # sourcedIds
    Fault("id_scheme", "ids by role letter (1.1: one record per role) or per school, or with odd characters",
          "role_prefix|role_suffix|per_school|exotic|case|padded|encoded", (3, 50, 62, 66, 68, 98)),
    Fault("id_field", "the number or the state's number is the sourcedId; staff with a prefix",
          "number|state_id", (5, 73)),
    # what a person's record says
    Fault("passwords", "every user has a password member", "", (67,)),
    Fault("service_accounts", "two people per school are called Test Account", "", (52,)),
    Fault("nameless", "two students per school have no name", "", (71,)),
    Fault("odd_names", "quotes, backslashes, markup, blanks at both ends", "", (68,)),
    Fault("email", "how e-mail goes wrong", "null_text|empty|absent|invalid", (51,)),
    Fault("teacher_without_number", "the first teacher of each school has no number", "", (71,)),
    Fault("number_in", "the member that holds the number", "identifier|user_ids|master|metadata", (73,)),
    Fault("user_ids", "seven kinds of userIds", "untis", (58,)),
    Fault("agents", "links missing, one-sided, to nobody", "off|one_sided|reverse|dangling", (55, 69)),
    Fault("staff_as", "aides, proctors and counselors are administrators, or absent", "administrator|absent", (54,)),
    Fault("role_missing", "the first teacher of each school has no role", "empty|null", (63,)),
    Fault("unknown_roles", "staff have roles outside the vocabulary", "", (54,)),
    Fault("roles_case", "roles in capitals and with blanks, or in title case", "upper|title"),
    Fault("role_dates", "ended, future, current and open roles in turn (1.2)", "rotate", (85,)),
    Fault("orgs_empty", "no orgs for everybody or one role", "all|ROLE", (75,)),
    Fault("enabled", "enabledUser does not tell who may sign in", "students_off|few_off|always|all_off", (86,)),
    Fault("japan", "kana and class in metadata.jp, official names masked, no agents", "", (72,)),
    # how the JSON of a record is spelled
    Fault("status", "a status outside the vocabulary", "unknown", (77, 80)),
    Fault("dates", "spellings of dateLastModified; set_back: all of 2000", "rotate|set_back|empty|garbage", (61,)),
    Fault("booleans", "spellings of enabledUser", "rotate|json|absent|garbage", (65,)),
    Fault("grades", "grades that are not a list of codes", "empty|text|number|null|old_name", (64,)),
    Fault("href", "unusable href in references", "tilde|internal|empty", (48,)),
    Fault("references", "references as text, without sourcedId, as the address, with blanks that differ",
          "bare|without_id|address|padded|trimmed", (48, 68)),
    Fault("lists", "lists of one entry that are one object", "object", (47,)),
    Fault("types", "numbers for texts, a list for metadata"),
    Fault("nulls", "every optional member is present and null", "", (59,)),
    Fault("both_generations", "1.2 records carry contradicting role and orgs as well"),
    Fault("extra_members", "unknown members, one differing by case only"),
    Fault("member_case", "all member names in lower case", "", (70,)),
    Fault("org_type", "schools are departments; mixed: references have many types too",
          "department|departments|mixed", (56,)),
    Fault("org_parent", "parent of an org is empty or null", "empty|null", (49,)),
    Fault("org_identifier", "the identifiers of all schools are the same", "doubled"),
    # addresses
    Fault("root_suffix", "the API is below the root at this path, e.g. /school", "PATH", (12,)),
    Fault("plain_v1p2", "1.2 is only at /ims/oneroster/v1p2", "only", (7,)),
    Fault("foreign_api", "every path answers a bare list of another API's members", "", (6,)),
    Fault("nested", "paths below a single object give 404", "off", (24,)),
    Fault("not_found", "these paths give 404 (`/teachers`, `/schools/{id}/classes`)", "PATHS", (24,)),
    Fault("forbidden", "these paths give 403", "PATHS", (27,)),
    Fault("unknown_school", "an unknown school is an empty list, or 403", "empty|403", (88,)),
    Fault("redirect", "every call is redirected to this URL", "URL"),
    # errors and limits
    Fault("fault_paths", "the faults of this group are limited to these paths", "PATHS"),
    Fault("server_error", "every call gives this status with an HTML page", "N", (91,)),
    Fault("fails_first", "the first N calls give 503", "N", (91,)),
    Fault("timeout_above", "504 for a limit above this", "N", (91, 94)),
    Fault("unauthorized_midway", "at call N every token becomes invalid, once", "N", (23,)),
    Fault("unauthorized_after", "401 from call N on, whatever the token", "N", (20, 23)),
    Fault("negotiate", "401 with WWW-Authenticate: Negotiate", "", (93,)),
    Fault("too_many", "the first N calls give 429", "N", (87,)),
    Fault("rate_limit", "429 above N calls a second", "N", (87,)),
    Fault("parallel_limit", "429 above N calls at a time", "N", (95,)),
    Fault("retry_after", "Retry-After of a 429 or 503: seconds, a date in two seconds, or none", "N|date|off", (87,)),
    Fault("failure_with_200", "a failure under status 200", "imsx|status_zero", (90,)),
    Fault("html_with_200", "a login page under status 200", "", (93,)),
    Fault("html_between", "every Nth call gives a page of a proxy under status 200", "N", (93,)),
    Fault("data_moves", "at the Nth page after the first, people join and leave, once", "N", (35, 36, 82)),
    # bytes on the wire
    Fault("latency", "milliseconds before each answer", "N", (94,)),
    Fault("latency_per_record", "microseconds more for each record of the limit", "N", (94,)),
    Fault("slow_bytes", "the body comes at N bytes a second", "N"),
    Fault("hangs", "the body stops after its first byte for N seconds", "N"),
    Fault("truncated_json", "the body ends in the middle, with a matching Content-Length"),
    Fault("connection_cut", "the connection ends in the middle of the body"),
    Fault("huge_body", "a body of N megabytes, valid JSON to the end", "N"),
    Fault("gzip", "bodies are compressed"),
    Fault("gzip_bomb", "a small compressed body of N megabytes", "N"),
    Fault("bom", "a byte order mark before the JSON"),
    Fault("content_type", "JSON under another content type", "text|html|none", (93,)),
    Fault("charset", "the body is not UTF-8", "latin1"),
    Fault("deep_json", "lists nested 100,000 deep"),
    Fault("empty_body", "no body at all, with 200"),
)  # fmt: skip
FAULTS = {fault.name: fault for fault in ROWS}
"""Every fault by its name."""
