"""The settings of a school of the model: the switches of each role, and limits that are not the defaults."""

from dataclasses import dataclass, field
from typing import Any

from roster_pipeline.settings.school import Guards, RoleSettings, SchoolSettings

CHANGING = ("create", "update", "restore", "archive")
PLURALS = {"student": "students", "teacher": "teachers", "staff": "staff", "admin": "admins"}
SMALL_SCHOOLS: dict[str, Any] = {"archive_always_allowed": 1}
"""A limit that matters with few people; all other limits are the defaults."""


@dataclass
class SchoolRules:
    """The switches: role to (rostered, auto update, archive). orgs_below: orgs below the school count as the school."""

    school_id: str
    approves_first: bool = False
    grace: int = 0
    orgs_below: bool = False
    switches: dict[str, tuple[bool, bool, bool]] = field(default_factory=lambda: dict.fromkeys(PLURALS, (True,) * 3))

    def rostered(self, role: str) -> bool:
        """Whether this role is rostered."""
        return self.switches[role][0]

    def auto_update(self, role: str) -> bool:
        """Whether the sync may change people of this role."""
        return self.switches[role][1]

    def archive(self, role: str) -> bool:
        """Whether the sync may archive people of this role."""
        return self.switches[role][2]

    def settings(self) -> SchoolSettings:
        """The same as the pipeline's settings."""
        roles: dict[str, Any] = {
            PLURALS[role]: RoleSettings(rostered=rostered, auto_update=auto, archive=archive)
            for role, (rostered, auto, archive) in self.switches.items()
        }
        return SchoolSettings(
            school_id=self.school_id,
            first_sync="approve" if self.approves_first else "apply",
            include_orgs_below=self.orgs_below,
            guards=Guards(grace_syncs=self.grace, **SMALL_SCHOOLS),
            report_to=["it@school.example"],
            **roles,
        )
