"""Charts as inline SVG, drawn on the server: no script, and nothing that is not in the table next to them."""

from collections.abc import Sequence

from markupsafe import Markup

from roster_pipeline.directory.school_history import Week
from roster_pipeline.notifications.content import RoleCounts
from roster_pipeline.notifications.outcome import joined
from roster_pipeline.vocabulary import role_name

SHOWN = ("created", "updated", "restored", "archived", "held")
"""The parts of a bar, in order. People who do not change would leave no room for the others."""
ROW, BAR = 46, 12
"""Heights in pixels: of a role with its bar, and of the bar. Widths are shares."""
LEAST = 0.6
"""In percent of the width, so that one person among thousands is still visible."""


def role_bars(roles: Sequence[RoleCounts]) -> Markup:
    """One bar per role. All parts have the same scale. Empty if nothing was changed or held."""
    most = max((sum(getattr(role, name) for name in SHOWN) for role in roles), default=0)
    if not most:
        return Markup("")
    rows = Markup("").join(_row(role, place, most) for place, role in enumerate(roles))
    label = "; ".join(f"{role_name(role.role)}: {_words(role)}" for role in roles)
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="chart-title chart-words" width="100%" height="{height}">'
        '<title id="chart-title">Changes by role</title><desc id="chart-words">{words}</desc>{rows}</svg>'
    ).format(height=ROW * len(roles), words=label, rows=rows)


def _row(role: RoleCounts, place: int, most: int) -> Markup:
    top = place * ROW
    parts, x = [], 0.0
    for name in SHOWN:
        number = getattr(role, name)
        if number:
            width = max(LEAST, 100 * number / most)
            part = Markup('<rect class="fill-{}" x="{}%" y="{}" width="{}%" height="{}"/>')
            parts.append(part.format(name, round(x, 2), top + 24, round(min(width, 100 - x), 2), BAR))
            x += width
    texts = Markup(
        '<text x="0" y="{y}">{role}</text><text class="soft" x="100%" y="{y}" text-anchor="end">{words}</text>'
        '<rect class="track" x="0" y="{top}" width="100%" height="{bar}" rx="3"/>'
    ).format(y=top + 15, role=role_name(role.role).capitalize(), words=_words(role), top=top + 24, bar=BAR)
    return texts + Markup("").join(parts)


def _words(role: RoleCounts) -> str:
    return joined([f"{getattr(role, name):,} {name}" for name in SHOWN if getattr(role, name)]) or "no change"


WIDTH, HEIGHT = 520, 90
"""The size of a trend chart in its own units. It is drawn as wide as its place on the page."""


def trend_line(points: Sequence[float | None], words: str) -> Markup:
    """A line from the oldest to the newest of at least two values, over gaps. words: for a screen reader."""
    known = [(place, value) for place, value in enumerate(points) if value is not None]
    if len(known) < 2:
        return Markup("")
    least, most = min(value for _, value in known), max(value for _, value in known)
    span, last = (most - least) or 1, len(points) - 1
    drawn = " ".join(
        f"{round(WIDTH * place / last, 1)},{round(HEIGHT - 6 - (HEIGHT - 12) * (value - least) / span, 1)}"
        for place, value in known
    )
    return _trend(words, Markup('<polyline class="trend" points="{}"/>').format(drawn))


def trend_bars(points: Sequence[float], words: str) -> Markup:
    most = max(points, default=0)
    if not most:
        return Markup("")
    wide = WIDTH / len(points)
    bars = Markup("").join(
        Markup('<rect class="fill-updated" x="{}" y="{}" width="{}" height="{}"/>').format(
            round(wide * place, 1), round(HEIGHT - HEIGHT * value / most, 1), round(wide * 0.8, 1),
            round(HEIGHT * value / most, 1),
        )
        for place, value in enumerate(points)
        if value
    )  # fmt: skip
    return _trend(words, bars)


def _trend(words: str, drawn: Markup) -> Markup:
    return Markup(
        '<svg class="year" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(words, WIDTH, HEIGHT, drawn)


def year_charts(weeks: Sequence[Week]) -> list[tuple[str, str, Markup]]:
    """The charts of a year: title, the newest value in words, and the drawing. Charts without values are left out."""
    if len(weeks) < 2:
        return []
    people, changes = [week.people for week in weeks], [week.changes for week in weeks]
    usable = [week.usable for week in weeks]
    known = [value for value in usable if value is not None]
    of_people = f"{people[-1]:,} now, {min(people):,} to {max(people):,} in a year"
    of_changes = f"{changes[-1]:,} this week, {sum(changes):,} in a year"
    shown = [
        ("People", of_people, trend_line(people, f"People by week: {of_people}")),
        ("Changes a week", of_changes, trend_bars(changes, f"Changes by week: {of_changes}")),
    ]
    if known:
        words = f"{known[-1]:.1f} % usable records now, {min(known):.1f} % at the least"
        shown.append(("Quality", words, trend_line(usable, words)))
    return [one for one in shown if one[2]]
