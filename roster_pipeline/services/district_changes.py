"""Changing the settings of a district, with the audit entry."""

from __future__ import annotations

from sqlalchemy import Connection

from roster_pipeline.directory import audit, tenants
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.services.field_error import FieldError
from roster_pipeline.services.settings_diff import SettingsDiff, changed_names
from roster_pipeline.settings.school import DistrictSettings


def change_district(conn: Connection, key: str, settings: DistrictSettings, *, who: str) -> SettingsDiff:
    """Change a district's settings, in the caller's transaction. Raises UnknownKey, FieldError."""
    lock_until_commit(conn, f"settings of district {key}")
    before = tenants.get_district(conn, key)
    unknown = set(settings.home_ranking) - {one.key for one in tenants.list_connections(conn, key)}
    if unknown:
        raise FieldError(
            "home_ranking", f"The district {key} has no connection {', '.join(sorted(unknown))}; see: connection list."
        )
    tenants.set_district(conn, key, settings)
    names = changed_names(before.settings.model_dump(mode="json"), settings.model_dump(mode="json"))
    audit.record(conn, who=who, what="district changed", district_id=before.id, details={"changed": names})
    return SettingsDiff(names, [])
