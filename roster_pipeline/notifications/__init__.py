"""The roster e-mail and the alerts: what they say, how they look, how they leave.

`render(report)` makes a `Mail`; `mailer_from(MailServer.read(), folder).send(...)` sends it. This package reads no
table.
"""

from roster_pipeline.notifications.content import (
    Comparison,
    ConnectionFacts,
    ContactCounts,
    FailureAlert,
    Finding,
    Held,
    LeftAlone,
    QualityCheck,
    Rejected,
    RoleCounts,
    RoleSize,
    RowDetails,
    RowNote,
    SyncReport,
)
from roster_pipeline.notifications.mail import (
    Delivery,
    Mail,
    Mailer,
    MailError,
    MailSettingsError,
    PermanentDeliveryError,
    ServerAwayError,
    TemporaryDeliveryError,
    message_id,
)
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.outcome import outcome, subject, tone, wants
from roster_pipeline.notifications.smtp import mailer_from

__all__ = [
    "Comparison",
    "ConnectionFacts",
    "ContactCounts",
    "Delivery",
    "FailureAlert",
    "Finding",
    "Held",
    "LeftAlone",
    "Mail",
    "MailError",
    "MailSettingsError",
    "Mailer",
    "PermanentDeliveryError",
    "QualityCheck",
    "Rejected",
    "RoleCounts",
    "RoleSize",
    "RowDetails",
    "RowNote",
    "ServerAwayError",
    "SyncReport",
    "TemporaryDeliveryError",
    "mailer_from",
    "message_id",
    "outcome",
    "render",
    "subject",
    "tone",
    "wants",
]
