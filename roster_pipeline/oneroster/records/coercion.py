"""Reads single values of a payload tolerantly: gives the value if its meaning is certain, and `UNREADABLE` if not.

Absent, null, blank and the texts that databases write for null are all None. It also reads members that are not in the
standard: those of `metadata`, and of the entries in a user's `agents`.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import orjson

from roster_pipeline.oneroster.http.json_decoding import REPLACEMENT
from roster_pipeline.vocabulary import LONGEST_ID

UNREADABLE: Final = object()
"""There was a value, but it cannot be read as one of this kind."""

NULL_TEXTS = frozenset(("NULL", "null", "Null", "NONE", "None", "none", "N/A", "n/a", "NA", "(null)", "undefined", "-"))
"""Texts that mean "nothing" in an e-mail, a number or a phone. In a name they may be a name."""

ID_NULLS = frozenset(("NULL", "null", "undefined"))
"""Texts that are never an id. Ids are opaque, so other short odd texts may be ids."""

NOT_IDS = ID_NULLS | {""}

NO_TEXTS: frozenset[str] = frozenset()

AGENTS = "agents:"
"""Prefix of a metadata key that means a member of an entry in `agents`."""

_TRUE = frozenset(("true", "1", "yes", "y", "t", "on"))
_FALSE = frozenset(("false", "0", "no", "n", "f", "off"))
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character, as of a text that was cut inside one: a letter is lost."""
_BREAKS = re.compile(r"[\t\r\n\x85\u2028\u2029]+")
_ISO_DATE = re.compile(r"^(\d{4})-?(\d{2})-?(\d{2})(?:$|[T ]|Z$|[+-]\d\d:\d\d$)")
"""A zone may follow the day, as in XML. The day counts as it is written."""
_MOMENT = re.compile(r"^\S{8,10}[T ](\d\d:\d\d)(?::\d\d(?:[.,]\d+)?)? ?(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
_ENDS_OF_DAY = ("00:00", "23:59")
_YEARS = range(1971, 2100)
"""Databases write a day outside these years for "no date": 0001-01-01, 1900-01-01, 1970-01-01, 9999-12-31."""
_AROUND_IDS = " \t\"'[]{}()"
_REFERENCE_NAMES = ("sourcedId", "sourcedid", "sourcedID", "SourcedId", "sourced_id", "id")
_ADDRESS = re.compile(r"(?is)(.*)/(?:orgs|schools|users|students|teachers|classes)/([^/?#]+)/?(?:[?#].*)?$")
"""The address of a single object of the standard; its last part is the object's id. Before it, there is `://` or the
beginning of a path; one pattern for both would take minutes for a long text."""
_STARTS_OF_JSON = ("[{", '["', '{"')
_LONGEST_JSON = 65_536
_ENTRIES = frozenset(("role", "org", "school", "agent", "user", "userid", "grade"))
"""Names that converters from XML give the entries of a list, in lower case."""
_ABSENT: Final = object()


def text(value: Any, nulls: frozenset[str] = NULL_TEXTS) -> Any:
    """A text without outer blanks, or None, or UNREADABLE. Numbers become text; a list of one counts as its item."""
    if type(value) is str:
        if not value.isprintable():
            value = _BREAKS.sub(" ", _HALF.sub(REPLACEMENT, _UNSTORABLE.sub("", value)))
        value = value.strip()
        return None if not value or value in nulls else value
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, bool):
        return UNREADABLE
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else UNREADABLE
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return text(value[0], nulls)
    return UNREADABLE


def own_id(value: Any) -> Any:
    """The sourcedId of a record, None, or UNREADABLE for what cannot be the id of anybody."""
    sourced_id = text(value, ID_NULLS)
    return UNREADABLE if isinstance(sourced_id, str) and len(sourced_id) > LONGEST_ID else sourced_id


def boolean(value: Any) -> Any:
    """True, False, None for unknown or absent, UNREADABLE for any other value. Unknown is not false."""
    if value is True or value is False or value is None:
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else UNREADABLE
    written = text(value)
    if not isinstance(written, str):
        return written
    lowered = written.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else UNREADABLE


def day(value: Any) -> Any:
    """A calendar date as YYYY-MM-DD, or None for a day that stands for "no date".

    A time without a zone, midnight and 23:59 do not count: they are the day as it is written. Another
    moment is YYYY-MM-DDTHH:MMZ, because its day depends on the school's time zone. Other spellings than ISO are
    UNREADABLE, not guessed.
    """
    if type(value) is not str:
        value = text(value)
        if not isinstance(value, str):
            return value
    return _day(value)


@lru_cache(maxsize=4096)
def _day(written: str) -> Any:
    """Cached, because the few dates of a school year come again for every person."""
    stripped = text(written)
    if stripped is None:
        return None
    match = _ISO_DATE.match(stripped)
    if not match:
        return UNREADABLE
    found = date_of(int(match[1]), int(match[2]), int(match[3]))
    moment = _MOMENT.match(stripped)
    if not isinstance(found, str) or not moment or moment[1] in _ENDS_OF_DAY:
        return found
    try:
        at = datetime.fromisoformat(f"{found}T{moment[1]}{moment[2].upper()}")
    except ValueError:
        return found
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def date_of(year: int, month: int, number: int) -> Any:
    """A date as `day` gives it."""
    try:
        written = date(year, month, number).isoformat()
    except ValueError:
        return UNREADABLE
    return written if year in _YEARS else None


def reference(value: Any) -> Any:
    """The sourcedId of a reference: an object, a bare text or number, or a list of one. An `href`, or an address
    instead of the id, is never fetched. Its last part is the id if there is no other id. An object with an empty id, or
    with nothing but its type, refers to nothing; without any id, its other members say that there is something."""
    if type(value) is dict:
        others = [name for name in value if str(name).lower().endswith("sourcedid")]
        for name in (*_REFERENCE_NAMES, *others):
            sourced_id = text(value.get(name), ID_NULLS)
            if sourced_id is not None:
                return sourced_id
        href = value.get("href")
        if href:
            return _id_in_address(href) or UNREADABLE
        says = any(inner not in (None, "", [], {}) for name, inner in value.items() if name != "type")
        return UNREADABLE if says and not others and "id" not in value else None
    if isinstance(value, list):
        if not value:
            return None
        return reference(value[0]) if len(value) == 1 and not isinstance(value[0], list) else UNREADABLE
    return _id_in_address(value) or text(value, ID_NULLS)


def references(value: Any, separators: str = "") -> tuple[list[str], bool]:
    """The distinct sourcedIds of a list of references, and whether all of it could be read.

    separators: characters that separate ids if one text has several. Without any, such a text stays whole, for callers
    who can compare it with the ids that exist.
    """
    ids: dict[str, None] = {}
    all_read = True
    for item in listed(value):
        sourced_id = reference(item)
        if sourced_id is UNREADABLE:
            all_read = False
        elif sourced_id is not None:
            several = separators and type(item) is str and any(char in sourced_id for char in separators + _AROUND_IDS)
            ids.update(dict.fromkeys(split_ids(sourced_id, separators) if several else [sourced_id]))
    return list(ids), all_read


def split_ids(written: str, separators: str = ",;|") -> list[str]:
    """The distinct ids in one text that may list several, without brackets, quotes and blanks around each."""
    parts = [part.strip(_AROUND_IDS) for part in re.split(f"[{separators}]", written)]
    return list(dict.fromkeys(part for part in parts if part not in NOT_IDS))


def _id_in_address(value: Any) -> str | None:
    """The id at the end of an address; None for a text that is not an address."""
    match = _ADDRESS.match(value.strip()) if isinstance(value, str) and "/" in value else None
    before = match[1] if match else ""
    return text(unquote(match[2]), NO_TEXTS) if match and ("://" in before or before.startswith(("/", "~/"))) else None


def listed(value: Any) -> list[Any]:
    """A list. A server may send one object, one value, null, an object of numbered entries, or one with the list below
    the name of an entry instead, such as {"org": [...]}; or any of these as JSON in a text, as databases make it."""
    if type(value) is str and value.lstrip()[:2] in _STARTS_OF_JSON and len(value) <= _LONGEST_JSON:
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    if type(value) is list:
        return value
    if type(value) is dict and len(value) == 1:
        ((name, only),) = value.items()
        if str(name).lower() in _ENTRIES and isinstance(only, list | dict):
            return only if isinstance(only, list) else [only]
    if value is None or value == "" or value == {}:
        return []
    if isinstance(value, dict) and value and all(isinstance(key, str) and key.isdecimal() for key in value):
        return list(value.values())
    return [value]


def texts(value: Any) -> tuple[list[str], bool]:
    """The distinct texts of a list or of a comma-separated text, and whether all of it could be read."""
    all_read = True
    found: list[str] = []
    for entry in listed(value):
        for part in entry.split(",") if isinstance(entry, str) else [entry]:
            item = text(part)
            if item is UNREADABLE:
                all_read = False
            elif item is not None and item not in found:
                found.append(item)
    return found, all_read


def wanted_members(metadata: Any, keys: Sequence[str]) -> dict[str, Any]:
    """The members of `metadata` with these names, or paths with dots; absent ones are left out."""
    members = ((key, _member(metadata, key)) for key in keys)
    return {key: _plain(value) for key, value in members if value is not _ABSENT}


def agent_members(agents: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Members of the entries in `agents`: key (with its prefix `AGENTS`) to an object of agent to value."""
    kept: dict[str, Any] = {}
    for entry in listed(agents):
        agent = reference(entry) if type(entry) is dict else None
        for key in keys if isinstance(agent, str) else ():
            value = _member(entry, key.removeprefix(AGENTS))
            if value is not _ABSENT:
                kept.setdefault(key, {})[agent] = _plain(value)
    return kept


def _plain(value: Any) -> Any:
    """A text, a boolean, a list of them, or None; an empty object for anything else, also for a list in a list. Texts
    such as "none" are kept, because custody "none" is information."""
    if isinstance(value, list):
        return [{} if isinstance(entry, list) else _plain(entry) for entry in value]
    if isinstance(value, bool):
        return value
    written = text(value, NO_TEXTS)
    return {} if written is UNREADABLE else written


def _member(members: Any, key: str) -> Any:
    """The value of a member, or of a member below it by a path with dots; `_ABSENT` if there is none."""
    if isinstance(members, Mapping) and key in members:
        return members[key]
    value: Any = members
    for step in key.split("."):
        value = value.get(step, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value
