"""Reports like those of real nights: a good one, one with held changes, a first one, a failure."""

from dataclasses import replace
from datetime import UTC, datetime

from roster_pipeline.notifications.content import (
    Comparison,
    ConnectionFacts,
    FailureAlert,
    Finding,
    Held,
    LeftAlone,
    QualityCheck,
    Rejected,
    RoleCounts,
    RoleSize,
    SyncReport,
)

NIGHT = datetime(2026, 11, 4, 2, 4, 12, tzinfo=UTC)
RUN = "https://dagster.example.org/runs/5b2c0d6e-8a3f-4c0b-9a51-0c7f6f1d2b77"

GOOD = SyncReport(
    school_key="lincoln-high",
    school_name="Lincoln High",
    when=NIGHT,
    time_zone="America/Chicago",
    sync_id=1841,
    plan_id=17,
    run_url=RUN,
    roles=(
        RoleCounts("admin", unchanged=6),
        RoleCounts("teacher", created=1, updated=2, skipped=1, unchanged=80),
        RoleCounts("student", created=3, updated=9, restored=1, archived=1, skipped=14, unchanged=1203),
    ),
    left_alone=(
        LeftAlone("student", 12, "archive_off"),
        LeftAlone("teacher", 1, "auto_update_off"),
        LeftAlone("student", 2, "archived_by_hand", "They were archived by hand and stay so."),
    ),
    checks=(
        QualityCheck("required_fields", True, 1309, 0),
        QualityCheck("unique_sourced_id", True, 1309, 0),
        QualityCheck("valid_email", False, 1309, 4, "warning"),
    ),
    rejected=(Rejected("users", "role", "unknown_role", 2), Rejected("users", "email", "not_an_address", 4, "warning")),
    connection=ConnectionFacts(
        "whole", pages=14, requests=16, seconds=8.42, complete=True, records=13204, version="1.2", mode="full"
    ),
    comparison=Comparison(
        datetime(2026, 11, 3, 2, 3, 58, tzinfo=UTC),
        (RoleSize("admin", 6, 6), RoleSize("teacher", 83, 84), RoleSize("student", 1215, 1218)),
    ),
)

QUIET = replace(
    GOOD,
    roles=(RoleCounts("teacher", unchanged=84), RoleCounts("student", unchanged=1218)),
    left_alone=(),
    checks=(QualityCheck("required_fields", True, 1302, 0),),
    rejected=(),
)

HELD = replace(
    GOOD,
    roles=(
        RoleCounts("admin", unchanged=6),
        RoleCounts("teacher", created=1, unchanged=82),
        RoleCounts("student", created=3, updated=9, held=149, conflicts=1, unchanged=1058),
    ),
    held=(
        Held(
            "student",
            "archive",
            148,
            (
                Finding("archive_share", "148 of 1,216 students would be archived (12.2 %); at most 10 % pass."),
                Finding("shrink", "The role has 14 % fewer people than usual (1,067 against 1,214)."),
            ),
        ),
        Held("teacher", "archive", 0, (Finding("incomplete", "Page 7 of 14 never came.", overridable=False),)),
        Held("student", "restore", 1, (Finding("incomplete", "Page 7 of 14 never came.", overridable=False),)),
    ),
    left_alone=(LeftAlone("student", 1, "several_matches", "Two people in the directory match the same record."),),
    connection=ConnectionFacts(
        "per_school",
        pages=13,
        requests=31,
        seconds=64.0,
        complete=False,
        records=12204,
        retries=9,
        version="1.1",
        problems=("page 7 failed three times (HTTP 502)",),
    ),
)

FIRST = replace(
    GOOD,
    first_sync=True,
    roles=(RoleCounts("teacher", held=84), RoleCounts("student", held=1218)),
    held=tuple(
        Held(role, "create", rows, (Finding("first_sync", "This is the first sync of the school."),))
        for role, rows in (("teacher", 84), ("student", 1218))
    ),
    left_alone=(),
    comparison=None,
)

FAILED = FailureAlert(
    school_key="lincoln-high",
    school_name="Lincoln High",
    when=NIGHT,
    time_zone="America/Chicago",
    step="raw_users",
    message="lincoln-high: the SIS refused the sign-in (401 invalid_client at its token address).",
    remedy="Check Client ID and Client Secret in the SIS, then run: roster test-connection lincoln-high",
    run_url=RUN,
)
