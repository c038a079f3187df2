"""Every fault the simulator knows: name, what it does, its values, and the deviations of real servers it imitates.

A value written in capitals is to be replaced: `N` by a number, `PATHS` by a comma list and so on. The first value is
the default of a bare name where it is none of those. The numbers are those of the list of known deviations in
`docs/oneroster.md`.
"""

from roster_pipeline.simulator.fault_table_people import PEOPLE_FAULTS
from roster_pipeline.simulator.fault_table_wire import WIRE_FAULTS
from roster_pipeline.simulator.faults import Fault

SIGN_IN = (
    Fault("sign_in", "only this kind of sign-in is accepted", "oauth2|oauth1|bearer|api_key", (20, 21, 22)),
    Fault("token_path", "the token endpoint stands at this path alone, below the host", "PATH", (1, 14)),
    Fault("token_query", "the token endpoint wants this query parameter", "NAME", (1,)),
    Fault("token_auth", "client id and secret only in the body, or only by Basic header", "body|basic", (8, 12)),
    Fault("scope_required", "a token request without scope is refused", "", (9,)),
    Fault("scope_granted", "only these scopes (last part of the URI) are granted, whatever is asked", "SCOPES", (9,)),
    Fault("scope_omitted", "the token reply has no scope member", "", (10,)),
    Fault("scope_spelling", "scopes are known in one spelling only", "https|http|short", (15,)),
    Fault("scope_text", "both scopes, in the other order than usual, are the one text that is taken", "turned", (15,)),
    Fault("token_members", "the members of the token reply are spelled without underscores", "camel", (23,)),
    Fault("token_moved", "the token endpoint redirects once, on its own host, with this status", "N"),
    Fault("scope_version_bound", "a scope of the other version gives 400 on the API", "", (15,)),
    Fault("scopes_unknown", "scopes are neither checked nor known", "", (10,)),
    Fault("token_bare_string", "the token reply is a JSON string instead of an object", "", (11,)),
    Fault("secret_encoding", "the Basic header must be form-encoded, or must not", "raw|encoded", (13,)),
    Fault("grant_type", "grant_type and scope are read from the query only, or not needed", "query|optional", (12, 16)),
    Fault("token_form_only", "415 for a token request whose body is no form", "", (17,)),
    Fault("session_cookie", "401 unless the cookie of the token endpoint comes back", "", (18,)),
    Fault("oauth1_hash", "one hash only for OAuth 1.0a signatures", "sha1|sha256", (21,)),
    Fault("clock_skew", "the server's clock is wrong by so many seconds (OAuth 1.0a)", "N", (21,)),
    Fault("api_key", "every call needs the header X-API-Key as well", "", (22,)),
    Fault("token_error", "the token endpoint gives this status with an HTML page", "N", (93,)),
    Fault("expires_in", "lifetime of tokens: seconds, or the member is text or missing", "N|text|missing", (23,)),
    Fault("credentials_ended", "the client's credentials are no longer valid", "", (20, 23)),
)

PAGING = (
    Fault("page_cap", "pages hold at most so many records, whatever limit says", "N", (29, 31, 34)),
    Fault("page_cap_error", "400 for a limit above this", "N", (34,)),
    Fault("limit_zero", "limit=0 gives an empty list and the total", "count", (30,)),
    Fault("link_style", "how Link is written", "no_brackets|typographic|garbage", (32,)),
    Fault("link_next", "what rel=next says", "always|repeat|back|off_by_one|exact_multiple|missing", (32, 37)),
    Fault("link_target", "where Link leads", "localhost|other_host|http|relative|hostless|port|comma", (38,)),
    Fault("link_drops_query", "Link carries limit and offset only", "", (38,)),
    Fault("link", "no Link header at all", "off", (34,)),
    Fault("offset_ignored", "every page is the first page", "", (33,)),
    Fault(
        "total_header", "X-Total-Count missing, on some collections only, or wrong",
        "off|some|unfiltered|drifting|high|low|text", (34, 39, 82),
    ),
    Fault("shuffle_ties", "without sort=sourcedId every page has an order of its own", "", (35,)),
    Fault("perm_rev", "x-perm-rev and x-count; flip: the revision changes on the third request", "steady|flip", (36,)),
    Fault("offset_unit", "offset counts pages instead of records", "page", (40,)),
    Fault("endless_pages", "behind the end comes the last page again, or ever new records", "repeat|fresh", (37,)),
    Fault(
        "past_end", "an offset behind the end gives this status, an object without a list, or nothing at all",
        "500|404|400|204|empty_object|empty_body", (34,),
    ),
    Fault("record_missing", "one record is lost at each page boundary", "", (35, 36)),
    Fault("record_doubled", "one record appears on both sides of each page boundary", "", (35, 36)),
    Fault("duplicate_ids", "the last record of each page has the sourcedId of the first", "", (35,)),
)  # fmt: skip

FILTERING = (
    Fault(
        "filter_ignored",
        "clauses on nested fields, on all, or on the named fields do not count",
        "nested|all|FIELDS",
        (41,),
    ),
    Fault(
        "strict_query",
        "400 for unknown parameters, other filter fields than status and dateLastModified, long values",
        "",
        (42,),
    ),
    Fault("filter_grouping", "many clauses, grouped left to right or AND before OR", "left_to_right|and_first", (43,)),
    Fault("filter_unknown", "a filter that cannot be evaluated gives an empty list", "empty", (45,)),
    Fault("filter_broken", "a filter with a syntax error gives everything", "everything", (46,)),
    Fault("filter_refused", "every filter is answered with this status", "N", (42,)),
    Fault("filter_empty", "every filter gives an empty list", "", (45,)),
    Fault("sort_refused", "every sort is answered with this status", "N", (35, 42)),
    Fault("sort_ignored", "sort does nothing", "", (35, 42)),
    Fault("fields_ignored", "fields does nothing, not even when it is wrong", "", (45,)),
    Fault("plus_literal", "a plus sign in the query is a plus sign, not a blank", ""),
    Fault("dates_compared", "dateLastModified is compared as text, or its day alone", "as_text|by_day", (61,)),
    Fault("no_match", "a filter that matches nothing gives 404", "404", (88,)),
)

ENVELOPES = (
    Fault("junk_entries", "every so-many-th entry of a list is no object", "N"),
    Fault(
        "envelope",
        "collections under their own name, null, not there, inside another object, or below a name of their entries",
        "own_name|school|missing|null|wrapped|entries",
        (25, 26),
    ),
    Fault("user_single_as_list", "a single user comes as a list under users", "", (50,)),
    Fault("lone_object", "a page with one record holds an object instead of a list", "", (47,)),
    Fault("error_shape", "how errors are written", "errors|statusInfoSet|wrapped|bare|modern|plain", (89,)),
)

FAULTS: tuple[Fault, ...] = (*SIGN_IN, *PAGING, *FILTERING, *ENVELOPES, *PEOPLE_FAULTS, *WIRE_FAULTS)
"""Every fault there is."""

WITHOUT_FAULT: dict[int, str] = {
    1: "serve below `prefix=/campus/api`, with `token_path` and `token_query`",
    2: "serve below a prefix such as `/aeries`",
    14: "serve the same application on a second port",
    19: "`tls.private_authority` and `running(app, ssl_certfile=..., ssl_keyfile=...)`",
    44: "`District.remove(how='vanish')` shows nothing in a pull by date",
    57: "students with contacts of the roles guardian, relative and parent are generated",
    60: "`District.set_role`",
    74: "`District.roll_over`, with `between_terms` before it",
    75: "`District.remove(how='lose_org')`",
    76: "`District.remove(how='linger')`",
    77: "`District.remove(how='end_date')`; `District.edit(status=..., roles=...)`",
    78: "`District.remove` and `District.restore`",
    80: "`District.remove(how=...)` for each person",
    96: "`csv_bundle.Deviation`",
    97: "`write_csv_bundle(mode=...)`, `Deviation.no_manifest`",
    98: "`Deviation.roles_in_users`, `Deviation.no_roles_file`",
    99: "`Deviation.below_folder`, `Deviation.extra_files`",
}
"""Deviations that are no switch but a way of serving, a verb of the district or an option of the CSV export."""
