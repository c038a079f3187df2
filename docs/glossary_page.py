"""Writes docs/glossary.md from the words of the help page: `python docs/glossary_page.py`."""

from pathlib import Path

from roster_pipeline.console.pages.glossary import glossary


def markdown() -> str:
    lines = [
        "# Glossary",
        "",
        "Each word of the domain, in one line. The last column has its name in the code, if there is one.",
    ]
    for title, words in glossary().items():
        lines += ["", f"## {title}", "", "| Word | Meaning | In the code |", "|---|---|---|"]
        lines += [f"| {word.name} | {word.meaning} | {f'`{word.code}` ' if word.code else ''}|" for word in words]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("glossary.md").write_text(markdown(), encoding="utf-8")
