"""Any content of a bundle gives a typed error, or every row is counted, and both ways of reading a row agree."""

import contextlib
import csv
import io
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roster_pipeline.oneroster import OneRosterError
from roster_pipeline.oneroster.bundle.columns import USERS, column_layout
from roster_pipeline.oneroster.bundle.user_rows import RoleIndex, UserRows
from roster_pipeline_tests.oneroster_bundle.writing import USERS_11, USERS_12, as_folder, bundle_11, manifest, read

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WIDE = (*USERS_12, "role", "orgSourcedIds", "primaryOrgSourcedId", "preferredGivenName", "metadata.a")
ODD = (
    *("", " ", "a", "a,b", "a, b ,a", "NULL", "null", "None", "-", "true", "FALSE", "yes", "maybe", "student"),
    *("Teacher", "ext:coach", "sch-1", "sch-1,sch-2", "{SIS:1}", "{SIS:1},{LDAP:x}", "{a}", "{:1}", "{a:}"),
    *("{ a : b }", "{{a:b}}", "tobedeleted", "Active", "2026-08-01", "07", "x|y", " | ", "|", "O'Brien", '"'),
    *("\x00", "\u2028", "ß"),
)
CELLS = st.one_of(st.sampled_from(ODD), st.text(max_size=8))


@QUICK
@given(row=st.lists(CELLS, min_size=len(WIDE), max_size=len(WIDE)), roles=st.lists(st.tuples(*[CELLS] * 5), max_size=3))
def test_the_short_way_and_the_long_way_give_the_same_user(row: list[str], roles: list[tuple[str, ...]]) -> None:
    layout = column_layout("users.csv", WIDE, USERS, ("a",))
    book = RoleIndex()
    for role in roles:
        book.add(row[0].strip(), role)
    book.seal()
    for kept in (None, book):
        reader = UserRows(layout, kept)
        codes = None if kept is None else kept.of([row[0].strip()])[0]
        cells = [*row, ""]
        short = reader._direct(cells, codes)
        if short is not None:
            rejects: list[dict[str, object]] = []
            assert short == reader._by_reader(cells, codes, rejects)
            assert rejects == []


@QUICK
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=len(USERS_11) + 2), max_size=12))
def test_every_row_is_a_user_or_a_reject(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([list(USERS_11), *rows])
    content = text.getvalue().encode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as folder:
        files = bundle_11() | {"manifest.csv": manifest(orgs="bulk", users="delta"), "users.csv": content}
        result = read(Path(folder), files)
    lines = csv.reader(io.StringIO(content.decode(), newline=""))
    kept = [row for row in lines if any(cell.strip().strip("\x1a") for cell in row)][1:]
    proof = result.proof
    assert proof.records == len(result.users) + proof.rejected + proof.left_out
    assert proof.records + proof.duplicates >= len([row for row in kept if any(row)])
    assert all({"sourcedId", "rule", "severity", "field", "collection"} == set(one) for one in result.rejects)


@QUICK
@given(content=st.binary(max_size=400), name=st.sampled_from(["users.csv", "orgs.csv", "manifest.csv"]))
def test_arbitrary_bytes_end_in_a_typed_error_or_a_proof(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OneRosterError):
        assert read(Path(folder), bundle_11() | {name: content}).proof.records >= 0


@QUICK
@given(at=st.integers(0, 10_000), junk=st.binary(min_size=1, max_size=6))
def test_damage_anywhere_in_a_file_is_never_a_crash(at: int, junk: bytes) -> None:
    files = bundle_11()
    content = files["users.csv"]
    place = at % len(content)
    files["users.csv"] = content[:place] + junk + content[place + len(junk) :]
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OneRosterError):
        assert read(as_folder(Path(folder), {}), files).proof.records >= 0
