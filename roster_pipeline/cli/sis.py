"""`roster sis`: which Student Information Systems we know, and where an owner finds what a connection needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from roster_pipeline.cli.commands import examples, group
from roster_pipeline.cli.output import note, print_facts, print_json, print_table
from roster_pipeline.cli.session import AsJson

if TYPE_CHECKING:
    from roster_pipeline.oneroster.presets import Preset

sis = group("Supported SISs: their addresses, permissions and known quirks. Anything else is `other`.")
NOT_KNOWN = "not publicly known"


@sis.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the SISs we know something about."""
    from roster_pipeline.oneroster.presets import presets

    known = presets()
    if as_json:
        print_json([one.model_dump(mode="json") for one in known])
        return
    rows = [(one.name, one.display_name, ", ".join(one.versions), one.sign_in, one.url or "") for one in known]
    print_table(["sis", "name", "OneRoster", "sign-in", "address"], rows)
    note("What one needs: roster sis show NAME")


@sis.command("show", epilog=examples("roster sis show powerschool"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from: roster sis list")], as_json: AsJson = False
) -> None:
    """Show where to find Client ID, Client Secret and School ID, what the SIS must grant, and how it behaves."""
    from roster_pipeline.oneroster.presets import SUBJECTS, offered

    chosen = named(name)
    if as_json:
        print_json(chosen.model_dump(mode="json"))
        return
    facts: dict[str, Any] = {
        "name": chosen.display_name,
        "address": chosen.url or NOT_KNOWN,
        "token address": chosen.token_url or NOT_KNOWN,
        "sign-in": chosen.sign_in,
        "versions": ", ".join(chosen.versions) or NOT_KNOWN,
        "largest page": chosen.page_cap or NOT_KNOWN,
        "Client ID": chosen.client_id_at or NOT_KNOWN,
        "Client Secret": chosen.client_secret_at or NOT_KNOWN,
        "School ID": chosen.school_id_at or NOT_KNOWN,
        "it must grant": " ".join(chosen.permissions) or NOT_KNOWN,
        **{f"delivers {name.lower()}": offered(chosen, subject) for subject, name in SUBJECTS.items()},
        "in place of the API": chosen.csv_at or NOT_KNOWN,
        "known quirks": " ".join(chosen.quirks) or "none",
    }
    print_facts(facts)
    note(f"Use it: roster connection add KEY --district DISTRICT --sis {chosen.name} --url ADDRESS --client-id ID")


def named(name: str) -> Preset:
    """One preset; wrong usage where there is none of that name."""
    from roster_pipeline.oneroster.presets import UnknownPreset, preset

    try:
        return preset(name)
    except UnknownPreset as problem:
        raise typer.BadParameter(str(problem)) from None
