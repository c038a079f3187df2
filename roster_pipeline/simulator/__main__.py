"""The simulator as a command: `python -m roster_pipeline.simulator`, or `roster simulator`."""

import argparse
from collections.abc import Sequence
from datetime import date

from roster_pipeline.simulator.app import LOOPBACK, create_site, serve
from roster_pipeline.simulator.district import generate_district
from roster_pipeline.simulator.faults import FAULTS, Faults
from roster_pipeline.simulator.messages import ROOTS
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS, Sis

DEFAULT_PORT = 8600


def fault_lines() -> list[str]:
    """Every fault as one line: its name and values, what it does, the numbers of the deviations it imitates."""
    lines = []
    for fault in FAULTS.values():
        spelled = f"{fault.name}={fault.values}" if fault.values else fault.name
        quirks = " ".join(f"Q{number}" for number in fault.quirks)
        lines.append(f"{spelled:<58} {fault.does}" + (f" ({quirks})" if quirks else ""))
    return lines


def site_option(text: str) -> dict[str, str]:
    """Split `/sis-a:schools=2,students=120,seed=7,versions=1.2` into the prefix and the settings."""
    prefix, _, rest = text.partition(":")
    if not prefix.startswith("/"):
        raise argparse.ArgumentTypeError("a site is written /prefix:schools=2,students=120,seed=7,versions=1.2")
    settings = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
    unknown = settings.keys() - {"schools", "students", "seed", "versions", "name"}
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown setting of a site: {', '.join(sorted(unknown))}")
    return {"prefix": prefix, **settings}


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="roster simulator", description="Serve one simulated SIS, or several below prefixes."
    )
    options.add_argument("--host", default=LOOPBACK)
    options.add_argument("--port", type=int, default=DEFAULT_PORT)
    options.add_argument("--schools", type=int, default=3)
    options.add_argument("--students", type=int, default=120, help="per school")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--start", type=date.fromisoformat, default=None, help="first day of the district (today)")
    options.add_argument("--prefix", default="", help="the path before /ims/oneroster")
    options.add_argument("--versions", default=",".join(ROOTS), help="1.1, 1.2 or both")
    options.add_argument("--client-id", default=next(iter(DEMO_CREDENTIALS)))
    options.add_argument("--client-secret", default=next(iter(DEMO_CREDENTIALS.values())))
    options.add_argument("--keep-pages", action="store_true", help="serve repeated pages from memory")
    options.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="may be repeated")
    options.add_argument("--list-faults", action="store_true")
    options.add_argument(
        "--site", action="append", type=site_option, default=[], metavar="/PREFIX:SETTINGS",
        help="a district below a prefix, instead of the one of --schools; may be repeated",
    )  # fmt: skip
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    if given.list_faults:
        print("\n".join(fault_lines()))  # noqa: T201 - the command's output
        return
    sises = []
    for site in given.site or [{"prefix": given.prefix}]:
        district = generate_district(
            int(site.get("seed", given.seed)),
            int(site.get("schools", given.schools)),
            int(site.get("students", given.students)),
            name=site.get("name", "Unified District"),
            start=given.start,
        )
        versions = site.get("versions", given.versions).replace("+", ",").split(",")
        credentials = {given.client_id: given.client_secret}
        sis = Sis(
            district, prefix=site["prefix"], credentials=credentials, faults=Faults(*given.fault), versions=versions,
            keep_pages=given.keep_pages,
        )  # fmt: skip
        sises.append(sis)
    serve(create_site(sises), host=given.host, port=given.port)


if __name__ == "__main__":
    main()
