"""Uploads a list of people into a school: takes file and columns, shows what each row would do, applies the list."""

from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.launchers import BY_ONE_PERSON, WINDOW
from roster_pipeline.console.page import (
    ROWS,
    Listed,
    database,
    form,
    list_filter,
    number_of,
    page,
    plain_number,
    reason_of,
    redirect,
    role,
    route,
    texts,
)
from roster_pipeline.console.session import limit, nothing_here, school_of, the_school, viewer
from roster_pipeline.directory import uploads
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import people_file, people_upload, workbook
from roster_pipeline.vocabulary import ROLE_ORDER

SHOWN = {
    "": "All rows", "create": "New here", "same": "Same person", people_file.LOOK: "Needs a look", "decided": "Decided",
    people_file.UNREADABLE: "Cannot be read",
}  # fmt: skip
"""The choices of the list's filter."""
WORDS = {
    "create": ("ok", "create"),
    "join": ("info", "same person"),
    "update": ("info", "same person"),
    "nothing": ("none", "same person"),
    people_file.LOOK: ("warn", "needs a look"),
    people_file.LEFT: ("none", "left out"),
    people_file.UNREADABLE: ("bad", "cannot be read"),
}
ROW = "row-"
"""The beginning of the name of a field with the decision about a row. The number of the row follows."""
SAME = ("join", "update", "nothing")


@route("/schools/{key}/people/upload", "POST")
def upload(request: Request) -> Response:
    """Read the file, keep it, and show what it would do."""
    school = the_school(request)
    limit(request, "lists by", viewer(request).email, BY_ONE_PERSON, WINDOW)  # each is kept for a day
    sent, given = form(request).get("file"), texts(request)
    default = given.get("role", "")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return choose(request, "Choose a file.")
    try:
        file = people_file.read_people_file(sent.file.read(people_file.LARGEST_FILE + 1))
    except workbook.FileUnusable as problem:
        return choose(request, f"{problem.message} {problem.remedy}")
    columns = people_file.fields_of_columns(file.header)
    with database(request).begin() as conn:
        number = uploads.keep(
            conn, school, file.header, file.rows, columns, default if default in ROLE_ORDER else "",
            who=viewer(request).email,
        )  # fmt: skip
    return redirect(request, f"/schools/{school.key}/people/upload/{number}")


@route("/schools/{key}/people/upload/{upload_id}/columns", "POST")
def columns(request: Request) -> Response:
    given = texts(request)
    with database(request).begin() as conn:
        school, kept = _kept(request, conn)
        chosen = [given.get(f"column-{place}", "") for place in range(len(kept.header))]
        once = [
            name if name in people_file.COLUMNS and name not in chosen[:place] else ""
            for place, name in enumerate(chosen)
        ]
        uploads.choose_columns(conn, kept.id, once)
    return redirect(request, f"/schools/{school.key}/people/upload/{kept.id}")


@route("/schools/{key}/people/upload/{upload_id}/decide", "POST")
def decide(request: Request) -> Response:
    """Store the decisions about rows that need a look. Nothing changes before the list is applied."""
    given = texts(request)
    with database(request).begin() as conn:
        school, kept = _kept(request, conn)
        same = given.get("file", "") == kept.hash
        chosen = {plain_number(name.removeprefix(ROW)): value for name, value in given.items() if name.startswith(ROW)}
        if same:
            numbers = {number for number, _ in kept.rows}
            uploads.choose(conn, kept, {number: choice[:20] for number, choice in chosen.items() if number in numbers})
    if not same:
        return show(request, "The meaning of the columns has changed since you looked. Decide again.")
    shown = list_filter(request, "show", address=f"/schools/{school.key}/people/upload/{kept.id}")
    return redirect(
        request,
        shown.at(1 if shown["show"] == people_file.LOOK else shown.page),
        message="Saved. Nobody is entered yet.",
    )


@route("/schools/{key}/people/upload/{upload_id}/apply", "POST")
def apply(request: Request) -> Response:
    """Apply the list, if it would still do what was shown."""
    given, who, reason = texts(request), viewer(request), reason_of(request)
    with database(request).begin() as conn:
        school, kept = _kept(request, conn)
    try:
        with database(request).begin() as conn:
            sync = people_upload.apply(
                conn, school, kept, given.get("digest", ""), reader=who, who=who.email, reason=reason
            )
            uploads.forget(conn, kept.id)
    except DirectoryError as refused:
        if refused.retryable:
            raise
        return show(request, refused.message)
    message = f"The list is entered: sync {sync}. You can roll it back here."
    return redirect(request, f"/schools/{school.key}/syncs/{sync}", message=message)


@route("/schools/{key}/people/upload", "GET")
def choose(request: Request, error: str = "") -> Response:
    return page(
        request,
        "upload.html",
        status=400 if error else 200,
        school=the_school(request),
        tab="people",
        error=error,
        roles=[("", "The list has a column for it"), *((name, role(name)) for name in ROLE_ORDER)],
        columns=people_file.COLUMNS,
        most=workbook.MOST_ROWS,
        largest=people_file.LARGEST_FILE // (1024 * 1024),
    )


def _kept(request: Request, conn: Connection) -> tuple[SchoolRow, uploads.Upload]:
    school = school_of(request, conn)
    found = uploads.kept(conn, school, number_of(request, "upload_id"), who=viewer(request).email)
    if found is None:
        raise nothing_here()
    return school, found


@route("/schools/{key}/people/upload/{upload_id}", "GET")
def show(request: Request, error: str = "") -> Response:
    """The effect of each row of the list."""
    who, filters = viewer(request), list_filter(request, "show")
    with database(request).begin() as conn:
        school, kept = _kept(request, conn)
        file = people_file.PeopleFile(kept.header, kept.rows)
        seen: people_upload.Preview = people_upload.preview(
            conn, school, file, kept.columns, role=kept.role, reader=who, choices=kept.choices
        )
    wanted = SAME if filters["show"] == "same" else (filters["show"],)
    decided = filters["show"] == "decided"
    rows = [row for row in seen.rows if not filters["show"] or (row.choice if decided else row.what in wanted)]
    shown = rows[filters.offset : filters.offset + ROWS]
    return page(
        request,
        "upload_preview.html",
        status=400 if error else 200,
        school=school,
        tab="people",
        error=error,
        seen=seen,
        file=kept.hash,
        choices_of=_choices_of,
        deciding=any(map(_choices_of, shown)),
        counts=seen.counts,
        listed=Listed(filters, list(shown), len(rows)),
        address=f"/schools/{school.key}/people/upload/{kept.id}",
        words=WORDS,
        choices=list(SHOWN.items()),
        fields=[("", "Leave out"), *((name, name.replace("_", " ").capitalize()) for name in people_file.COLUMNS)],
    )


def _choices_of(row: people_file.Row) -> list[tuple[str, str]]:
    """The possible decisions about a row; empty if nothing has to be decided."""
    if row.what != people_file.LOOK and not row.choice:
        return []
    people = [(str(number), f"The same person as {words}") for number, words in row.candidates]
    new = [(people_file.NEW, "A new person")] if row.may_be_new else []
    return [("", "Not decided"), *people, *new, (people_file.OUT, "Leave it out")]
