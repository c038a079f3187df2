"""A pull and a snapshot name their records in blocks of 512 ids with a bit for each, in place of a row for each."""

from roster_pipeline.directory.migrations import run

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def in_blocks(table: str, key: str) -> str:
    """Put the records that a table names into blocks. key: its columns besides record_id."""
    return f"""
create temporary table {table}_blocks on commit drop as
with byte as (
    select {key}, record_id >> 9 as block, cast((record_id & 511) >> 3 as integer) as n,
        bit_or(1 << cast(record_id & 7 as integer)) as value
    from {table} group by {key}, block, n
), part_of_set as (
    select distinct {key}, block from byte
)
select {key}, block, string_agg(set_byte('\\x00'::bytea, 0, coalesce(value, 0)), ''::bytea order by n) as bits
from part_of_set cross join generate_series(0, 63) n left join byte using ({key}, block, n)
group by {key}, block;
truncate {table};
alter table {table} drop constraint pk_{table}, drop column record_id,
    add column block bigint not null, add column bits bytea not null;
insert into {table} ({key}, block, bits) select {key}, block, bits from {table}_blocks;
"""  # noqa: S608


SETS = f"""
drop view raw_org, raw_user, raw_contact;
{in_blocks("pull_record", "pull_id")}
alter table pull_record add constraint pk_pull_record primary key (pull_id, block);
comment on column pull_record.pull_id is 'without foreign keys, which would be looked up for each row';
comment on column pull_record.block is 'of 512 ids of sis_record: id >> 9';
comment on column pull_record.bits is '512 bits: get_bit(bits, id & 511)';
{in_blocks("snapshot_record", "snapshot_id, part")}
alter table snapshot_record add constraint pk_snapshot_record primary key (snapshot_id, block, part);
comment on column snapshot_record.block is 'as in pull_record';
comment on column snapshot_record.bits is 'as in pull_record';
"""


def raw_view(part: str) -> str:
    """The records of one part of each snapshot."""
    return f"""
create view raw_{part} as
select s.snapshot_id, r.sourced_id, r.payload from snapshot_record s
join sis_record r on r.id between s.block << 9 and (s.block << 9) + 511 and get_bit(s.bits, r.id & 511) = 1
where s.part = '{part}';
"""  # noqa: S608


def upgrade() -> None:
    """Put the names into blocks, and make the views again."""
    run(SETS + "".join(map(raw_view, ("org", "user", "contact"))))
