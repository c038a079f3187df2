"""The settings that an owner can choose: connections, schools, roles, and the guards.

The models validate everything; their messages are for the person who fills in the form. Secrets are not here: a
connection's Client Secret is encrypted in its own column (`directory/secrets.py`). `cleaning/contact_rules.py` applies
the contact rules that are parsed here.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, time
from functools import cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from roster_pipeline.vocabulary import CONTACT, Role, in_one_line

KEY_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
Share = Annotated[float, Field(ge=0, le=1)]

DEFAULT_ROLE_MAP: dict[str, str] = {
    "student": Role.STUDENT,
    "teacher": Role.TEACHER,
    **dict.fromkeys(("aide", "proctor", "counselor"), Role.STAFF),
    **dict.fromkeys(("administrator", "siteadministrator", "districtadministrator"), Role.ADMIN),
    **dict.fromkeys(("principal", "systemadministrator"), Role.ADMIN),
    **dict.fromkeys(("parent", "guardian", "relative"), CONTACT),
}
"""OneRoster's role, lower-cased, to our group. Extension roles count only if a school maps them."""
_CONTACT_FIELD = r"(?:metadata|agents):[^=!,]*[^=!,\s]"
_CONTACT_RULE = re.compile(rf"^(role|relationship|{_CONTACT_FIELD})\s*(!=|=)\s*(.*)$")


def parts(rule: str) -> tuple[str, bool, tuple[str, ...]]:
    """The parts of a contact rule: the field, whether its values are the allowed ones, and the values. `FIELD=VALUES`
    names the allowed values, `FIELD!=VALUES` the excluded ones. Raises ValueError for anything else."""
    found = _CONTACT_RULE.match(rule.strip())
    values = tuple(value.strip() for value in found[3].split(",") if value.strip()) if found else ()
    if found is None or not values:
        raise ValueError(
            "write FIELD=VALUES for the values with which a contact may be called, or FIELD!=VALUES for those with "
            "which it may not; FIELD is role, relationship, metadata:KEY or agents:KEY"
        )
    return found[1], found[2] == "=", values


def checked_rule(rule: str) -> str:
    """The rule in its plain form. Raises ValueError."""
    field, allowed, values = parts(rule)
    return f"{field}{'=' if allowed else '!='}{','.join(values)}"


def checked_field(field: str) -> str:
    """A field of a contact that the SIS fills: `metadata:KEY` or `agents:KEY`. Raises ValueError."""
    if not re.fullmatch(_CONTACT_FIELD, field.strip()):
        raise ValueError("say where it is: metadata:KEY, or agents:KEY for a member of the entries in agents")
    return field.strip()


@cache
def _zones() -> dict[str, str]:
    return {name.lower(): name for name in sorted(available_timezones())}  # read from the disk


def _time_zone(name: str) -> str:
    found = _zones().get(name.strip().lower().replace(" ", "_"))
    if found is None:
        raise ValueError(f"{name} is not a time zone; use a name such as America/Chicago or Europe/Berlin")
    return found


def _email(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as problem:
        raise ValueError("this is not an e-mail address") from problem


LONGEST_NAME = 200
ANY_SCHOOL = "any"
"""The School ID of settings that belong to no school."""
MOST_RECIPIENTS = 20
"""The recipients of one school's report. Checked when settings are saved, so that older ones can still be read."""
TOO_MANY_RECIPIENTS = f"Name at most {MOST_RECIPIENTS} recipients; for more people use one address of a mailing list."


def display_name(name: str) -> str:
    """The name of a school or district in the form in which it is stored: NFC, without blanks at the ends.

    Subjects of mails and headlines contain it. So this raises ValueError, with a message for people, if the name is
    empty, has more than `LONGEST_NAME` characters, or is not one line of visible characters.
    """
    plain = unicodedata.normalize("NFC", name).strip()
    if not plain or len(plain) > LONGEST_NAME:
        raise ValueError(f"Write a name of at most {LONGEST_NAME} characters.")
    if not in_one_line(plain):
        raise ValueError("Write the name in one line, without invisible or direction-changing characters.")
    return plain


TimeZone = Annotated[str, AfterValidator(_time_zone)]
EmailAddress = Annotated[str, AfterValidator(_email)]
ContactRule = Annotated[str, AfterValidator(checked_rule)]
ContactField = Annotated[str, AfterValidator(checked_field)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, validate_default=True)


class ConnectionSettings(_Settings):
    """How one SIS endpoint is reached. One row of `connection`, without its secret."""

    url: str
    client_id: str = ""
    sis: str = "other"
    token_url: str | None = None
    sign_in: Literal["auto", "oauth2", "oauth1", "bearer"] = "auto"
    scopes: str | None = None
    version: Literal["auto", "1.1", "1.2"] = "auto"
    page_size: int = Field(default=1000, ge=1, le=100_000)
    ca_bundle: str | None = None
    host_key: str | None = None
    student_number_from: str = "identifier"
    staff_number_from: str = "identifier"
    primary_contact_from: str | None = None
    contact_rules: list[ContactRule] = []
    """Which contacts may be called (`parts`). A value that no rule of its field names excludes."""
    contact_relationship_from: ContactField | None = None
    contact_flags: list[ContactField] = []
    disabled_means_gone: bool = False
    no_enrollment_means_gone: bool = False
    """For a SIS that never removes people: a student without a running enrollment in the school counts as gone from
    it."""
    unknown_user_answer: Literal["404", "400", "403"] = "404"
    allow_private_addresses: bool = False
    strategy: Literal["auto", "whole", "per_school"] = "auto"
    delta: bool = False
    controlled_by: Literal["school", "district"] = "school"
    """Who may change the connection: also the owners of its schools, or only the district's managers and operators.
    This also decides how far its records are trusted about people whom another connection knows
    (`identity/matching.py`)."""
    secret_expires: date | None = None
    """The last day on which the Client Secret is valid, if the SIS lets it expire; mails remind the owners."""

    @field_validator("url", "token_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        visible = "".join(sign for sign in value or "" if unicodedata.category(sign) != "Cf").strip("<>\"' \t\r\n")
        parts = re.match(r"(?i)(?:https?://(?=[fhs]\w+://))*(https?|file|sftp)(://(?![fhs]\w+://)\S+)$", visible)
        if value is not None and parts is None:
            raise ValueError("give the full address, for example https://sis.example.org/ims/oneroster/rostering/v1p2")
        return parts[1].lower() + parts[2] if parts else None

    @field_validator("student_number_from", "staff_number_from")
    @classmethod
    def _number_source(cls, value: str) -> str:
        if not re.match(r"^(identifier|sourcedId|username|userMasterIdentifier|userIds:.+|metadata:.+)$", value):
            raise ValueError(
                "say where the number is: identifier, sourcedId, username, userMasterIdentifier, "
                "userIds:TYPE or metadata:KEY"
            )
        return value


class RoleSettings(_Settings):
    """One role group of one school: rostered or not; may the sync change people, may it archive them."""

    rostered: bool = False
    auto_update: bool = False
    archive: bool = False


class Window(_Settings):
    """Dates (both inclusive, in the school's own calendar) between which the sync may change nothing, or may only add
    people."""

    first: date
    last: date
    kind: Literal["blackout", "add_only"]

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.last < self.first:
            raise ValueError("the window ends before it begins")
        return self


class Guards(_Settings):
    """The limits beyond which a risky kind of action is held for a person to look at. Shares are from 0 to 1."""

    missing_share: Share = 0.50
    strangers_share: Share = 0.50
    lower_grades_share: Share = 0.20
    moved_keys: int = Field(default=3, ge=0)
    rekeyed_share: Share = 0.20
    shrink_share: Share = 0.20
    archive_share: Share = 0.10
    archive_always_allowed: int = Field(default=5, ge=0)
    archive_small_role: int = Field(default=50, ge=0)
    archive_most: int = Field(default=500, ge=0)
    slow_loss_share: Share = 0.20
    create_share: Share = 0.25
    restore_share: Share = 0.25
    update_share: Share = 0.75
    update_key_share: Share = 0.05
    rejected_share_archive: Share = 0.05
    rejected_share_all: Share = 0.20
    unknown_org_share: Share = 0.05
    contradictions: int = Field(default=3, ge=0)
    grace_syncs: int = Field(default=0, ge=0, le=60)
    grace_without_witness: int = Field(default=1, ge=0, le=60)
    bundle_age_days: int = Field(default=3, ge=1, le=400)
    bundle_unchanged_days: int = Field(default=7, ge=1, le=400)
    api_unchanged_days: int = Field(default=14, ge=1, le=400)
    windows: list[Window] = []


class QualityRule(_Settings):
    """How a school tunes one rule of the quality suite."""

    mostly: Share | None = None
    severity: Literal["error", "warning", "off"] | None = None


class SchoolSettings(_Settings):
    """All settings of one school. One row of `school`."""

    school_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
    students: RoleSettings = RoleSettings()
    teachers: RoleSettings = RoleSettings()
    staff: RoleSettings = RoleSettings()
    admins: RoleSettings = RoleSettings()
    primary_contacts: bool = False
    contacts_most: int = Field(default=1, ge=1, le=5)
    """How many contacts of a student are kept, including the primary one."""
    preferred_names: bool = False
    role_map: dict[str, Literal["student", "teacher", "staff", "admin", "contact"]] = {}
    report_to: list[EmailAddress] = []
    report_when: Literal["every", "problems", "daily"] = "every"
    report_attachment: Literal["none", "ids", "masked"] = "none"
    automatic: bool = False
    sync_time: time = time(20, 0)
    time_zone: TimeZone = "UTC"
    phone_region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "US"
    first_sync: Literal["approve", "apply"] = "approve"
    restore_archived_by_hand: bool = False
    include_orgs_below: bool = False
    """Whether orgs below the school, such as a campus or a department, count as the school."""
    guards: Guards = Guards()
    quality: dict[str, QualityRule] = {}

    def role(self, role: str) -> RoleSettings:
        """The switches of one role group; `role` is a `Role` value."""
        of = {Role.STUDENT: self.students, Role.TEACHER: self.teachers, Role.STAFF: self.staff, Role.ADMIN: self.admins}
        return of[Role(role)]

    def without_witness(self) -> SchoolSettings:
        """The same, but with the longer waiting time for a SIS that does not answer for single people."""
        grace = max(self.guards.grace_syncs, self.guards.grace_without_witness)
        return self.model_copy(update={"guards": self.guards.model_copy(update={"grace_syncs": grace})})

    def for_new_schools(self) -> SchoolSettings:
        """The same without the settings that each school has for itself: School ID, recipients, automatic rostering."""
        return self.model_copy(update={"school_id": ANY_SCHOOL, "report_to": [], "automatic": False})

    @property
    def rostered(self) -> tuple[str, ...]:
        """The rostered role groups, strongest first."""
        return tuple(role.value for role in Role if self.role(role).rostered)

    @property
    def roles_by_source(self) -> dict[str, str]:
        """The group of each OneRoster role (lower-case). The school's own mapping comes first."""
        return DEFAULT_ROLE_MAP | {source.lower(): group for source, group in self.role_map.items()}

    @property
    def contact_roles(self) -> tuple[str, ...]:
        """The OneRoster roles (lower-case) that make somebody a contact."""
        return tuple(source for source, group in self.roles_by_source.items() if group == CONTACT)

    @property
    def zone(self) -> ZoneInfo:
        """The school's time zone."""
        return ZoneInfo(self.time_zone)


class DistrictSettings(_Settings):
    """The settings of a district. One row of `district`."""

    connection_ranking: list[Key] = []
    """Connections whose records count first if several connections know a person, in this order
    (`planning/decisions.py`)."""
    school_defaults: SchoolSettings | None = None
    """The settings with which a new school begins (`SchoolSettings.for_new_schools`); None: the standard settings."""
