"""The words of the domain, each in one line: for the help page, and for docs/glossary.md, which is made of them.

python -m roster_pipeline.console.glossary > docs/glossary.md
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.page import page


class Word(NamedTuple):
    """One word. code: its name in the code, below the package; empty where it has none."""

    name: str
    meaning: str
    code: str = ""

    @property
    def anchor(self) -> str:
        """Its place on the help page."""
        return self.name.lower().replace(" ", "-")


GLOSSARY: dict[str, tuple[Word, ...]] = {
    "Schools and their SIS": (
        Word("account", "a person who may sign in to the console", "directory.accounts.Account"),
        Word(
            "application",
            "a database login that may read the views of one district, or of some of its schools",
            "directory.schema.Application",
        ),
        Word(
            "bundle",
            "the CSV files of a OneRoster export, in a folder, in a zip or on an SFTP server",
            "oneroster.bundle.sources.BundleSource",
        ),
        Word(
            "connection",
            "how we reach one SIS: address, credentials, kind of bundle",
            "directory.tenants.ConnectionRow",
        ),
        Word(
            "connection test",
            "Test Your Information: checks the connection to a SIS, item by item",
            "directory.connection_tests.ConnectionTest",
        ),
        Word(
            "district",
            "the tenant. Nothing is matched, read or changed across districts",
            "directory.tenants.DistrictRow",
        ),
        Word("grant", "what an account may see: everything, a district or a school", "directory.accounts.Grant"),
        Word(
            "invitation",
            "a mail that says what somebody may look after, and where to sign in",
            "services.access_changes.invite",
        ),
        Word("manager", "a person with a grant for a district", "directory.accounts.Account"),
        Word("operator", "a person who runs the installation and sees every district", "directory.accounts.operators"),
        Word("owner", "a person with a grant for a school", "directory.accounts.Account"),
        Word(
            "picked school",
            "a school that somebody chose from the list of its SIS, instead of typing its School ID",
            "services.sis_schools.PickedSchool",
        ),
        Word(
            "preset",
            "what is publicly known of a SIS. It gives a new connection its first settings",
            "oneroster.presets.Preset",
        ),
        Word("school", "one school that is rostered. It is one partition in Dagster", "directory.tenants.SchoolRow"),
        Word(
            "SIS",
            "Student Information System: the server or the export from which the rosters come",
            "simulator.sis.Sis",
        ),
    ),
    "From the SIS to a roster": (
        Word(
            "agents",
            "in OneRoster, the users whom a user names as parents, guardians or children",
            "cleaning.contact_exclusions.pairs_of",
        ),
        Word(
            "cleaned roster",
            "the records of a snapshot with typed values and a record status",
            "cleaning.clean.Cleaned",
        ),
        Word("contact", "a parent or guardian of a student, as named by the SIS", "cleaning.contacts.choose_contacts"),
        Word(
            "contact rule",
            "a setting that says which contacts may be called, or may not",
            "settings.school.checked_rule",
        ),
        Word(
            "delta",
            "only the records that changed since an earlier pull, over REST or as CSV",
            "directory.delta_base.DeltaBase",
        ),
        Word("night", "one local date of a school. The schedule starts one sync for it", "sync.schedule_due.night_of"),
        Word("org", "in OneRoster, a school, district or department of the SIS", "oneroster.records.orgs.orgs_of"),
        Word(
            "proof of completeness",
            "what was counted during reading, and why people may be missing in a snapshot",
            "oneroster.collections.proof.Proof",
        ),
        Word(
            "pull",
            "all answers of one connection in one night. Its schools share it",
            "oneroster.collections.pull.Pull",
        ),
        Word(
            "record",
            "one user of the SIS: a line of CSV or a JSON object",
            "oneroster.records.user_records.UserReader",
        ),
        Word(
            "record status",
            "whether a record is a member of the school, is rejected, or is elsewhere",
            "vocabulary.RECORD_STATUSES",
        ),
        Word(
            "rejection",
            "a record or value that was not used. It has the rule, but not the value",
            "cleaning.rejections.Rejections",
        ),
        Word("snapshot", "what one pull says about one school", "directory.snapshots.Raw"),
        Word("source age", "how old the data of a sync are", "oneroster.collections.proof.SourceAge"),
        Word("sourcedId", "the id of a record in the SIS"),
    ),
    "Who is who": (
        Word(
            "deduplication",
            "finding the records of one snapshot that are one human being",
            "identity.deduplication.deduplicate",
        ),
        Word(
            "evidence",
            "what supports and what contradicts that two descriptions are one human being",
            "identity.evidence.Evidence",
        ),
        Word(
            "identity",
            "all records of one snapshot that are one human being, after manual decisions",
            "identity.identity_groups.IdentityGroups",
        ),
        Word("link", "says which record of the SIS belongs to which person", "directory.manual_edits.link"),
        Word(
            "link exclusion",
            "a manual decision that a record is not this person",
            "identity.identity_groups.excluded_links",
        ),
        Word("match keys", "the values by which records and people are compared", "identity.evidence.MatchKeys"),
        Word("membership", "the role of a person in one school", "directory.tables.membership"),
        Word(
            "merge",
            "make one person of two people who are one human being. It can be undone",
            "directory.person_merge.merge",
        ),
        Word(
            "possible duplicates",
            "two people of the directory who may be one human being",
            "services.possible_duplicates.possible_duplicates",
        ),
        Word("person", "one human being in the directory", "directory.members.Person"),
        Word(
            "primary record",
            "the record that the fields of a person follow, if several records are linked",
            "planning.decisions.PrimaryRecords",
        ),
        Word(
            "reassigned id", "a sourcedId that the SIS has given to somebody else", "identity.matching.reassigned_ids"
        ),
    ),
    "What happens to them": (
        Word(
            "alert", "a mail about a problem, sent once when it begins and once when it ends", "directory.alerts.Alert"
        ),
        Word(
            "announced leaver",
            "a person whose last day somebody entered before they left",
            "directory.lasting_decisions.AnnouncedLeaver",
        ),
        Word("approval", "a person's decision, with a reason, to apply held rows", "directory.approvals.approve"),
        Word("archive", "end a membership. Nothing is deleted, and it can be restored"),
        Word("audit", "who did what, when and why. No entry is ever changed", "directory.audit.Entry"),
        Word(
            "change log", "every field that a sync changed, with the values before and after", "directory.ledger.Change"
        ),
        Word(
            "directory",
            "the people, links, memberships and contacts that applications read",
            "directory.database.Database",
        ),
        Word(
            "exemption",
            "a change of one person that somebody left out of a hold; no later sync makes it either",
            "directory.lasting_decisions.Exemption",
        ),
        Word("finding", "what a guard found, with its number and its limit", "planning.findings.Finding"),
        Word("guard", "a rule that holds a part of a plan that looks dangerous", "planning.guards.judge"),
        Word("hold", "the part of a plan that a guard stopped. A person has to decide", "directory.approvals.Hold"),
        Word("ledger", "the list of all syncs and of their changes", "directory.ledger.SyncRow"),
        Word(
            "outbox",
            "mails to send, written in the same transaction as what they report",
            "directory.outbox.OutboxMessage",
        ),
        Word("plan", "one row per membership with an action, a reason and the changed fields", "planning.plan.Plan"),
        Word("quality suite", "the tests that a cleaned roster has to pass", "cleaning.quality_suite.Suite"),
        Word(
            "relink",
            "give people the new sourcedIds of the records that match them, and change nothing else",
            "directory.relink.relink",
        ),
        Word(
            "rollback",
            "undo one sync with the change log. The rollback is a sync of its own",
            "directory.rollback.roll_back",
        ),
        Word("sync", "one run for one school: fetch, clean, plan, apply, report", "sync.fetch"),
        Word(
            "verdict",
            "says which parts of a plan may be applied. It is stored with the plan",
            "planning.guards.Verdict",
        ),
        Word(
            "witness",
            "the second check: before an archival, we ask the SIS for this person by id",
            "oneroster.witness.ask_witness",
        ),
    ),
}


def markdown() -> str:
    """The page of the documentation."""
    lines = [
        "# Glossary",
        "",
        "Each word of the domain, in one line. The last column has its name in the code, if there is one.",
    ]
    for title, words in GLOSSARY.items():
        lines += ["", f"## {title}", "", "| Word | Meaning | In the code |", "|---|---|---|"]
        lines += [f"| {word.name} | {word.meaning} | {f'`{word.code}` ' if word.code else ''}|" for word in words]
    return "\n".join(lines) + "\n"


def show(request: Request) -> Response:
    """The glossary; each word has an anchor, to which other pages link."""
    return page(request, "help.html", glossary=GLOSSARY)


routes = [Route("/help", show, methods=["GET"])]


if __name__ == "__main__":
    sys.stdout.write(markdown())
