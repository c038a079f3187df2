"""People are found by a number in any spelling: leading zeros, capitals, blanks and wide digits do not count."""

from roster_pipeline.directory.migrations import run

revision = "0041"
down_revision = "0040"

NUMBERS = """
create function bare_number(number text) returns text
    language sql immutable parallel safe
    return ltrim(replace(lower(normalize(number, nfkc)), ' ', ''), '0');
comment on function bare_number(text) is 'a number without what is only spelling, as evidence.bare has it';
drop index ix_person_number;
create index ix_person_number on person (district_id, number_connection_id, number_kind, bare_number(number));
"""


def upgrade() -> None:
    """Make the index again, with the numbers as they are compared."""
    run(NUMBERS)
