"""Charts as inline SVG, drawn on the server: no script, and nothing that the table beside it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from roster_pipeline.notifications import RoleCounts
from roster_pipeline.notifications.outcome import joined
from roster_pipeline.vocabulary import role_name

SHOWN = ("created", "updated", "restored", "archived", "held")
"""What a bar is made of, in this order. Who was left alone is most of a school, so it would leave no room."""
ROW, BAR = 46, 12
"""Pixels: a role with its bar, and the bar itself. Across, everything is a share of the width."""
LEAST = 0.6
"""Percent of the width: a single person among thousands still shows."""


def role_bars(roles: Sequence[RoleCounts]) -> Markup:
    """One bar per role, its parts to one scale. Empty where nothing was changed or held."""
    most = max((_total(role) for role in roles), default=0)
    if not most:
        return Markup("")
    rows = Markup("").join(_row(role, place, most) for place, role in enumerate(roles))
    said = "; ".join(f"{role_name(role.role)}: {_words(role)}" for role in roles)
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="chart-title chart-words" width="100%" height="{height}">'
        '<title id="chart-title">Changes by role</title><desc id="chart-words">{said}</desc>{rows}</svg>'
    ).format(height=ROW * len(roles), said=said, rows=rows)


def _row(role: RoleCounts, place: int, most: int) -> Markup:
    top = place * ROW
    parts, x = [], 0.0
    for name in SHOWN:
        number = getattr(role, name)
        if number:
            width = max(LEAST, 100 * number / most)
            parts.append(_part(name, x, top + 24, width))
            x += width
    texts = Markup(
        '<text x="0" y="{y}">{role}</text><text class="soft" x="100%" y="{y}" text-anchor="end">{words}</text>'
        '<rect class="track" x="0" y="{top}" width="100%" height="{bar}" rx="3"/>'
    ).format(y=top + 15, role=role_name(role.role).capitalize(), words=_words(role), top=top + 24, bar=BAR)
    return texts + Markup("").join(parts)


def _part(name: str, x: float, y: int, width: float) -> Markup:
    return Markup('<rect class="fill-{name}" x="{x}%" y="{y}" width="{width}%" height="{bar}"/>').format(
        name=name, x=round(x, 2), y=y, width=round(min(width, 100 - x), 2), bar=BAR
    )


def _words(role: RoleCounts) -> str:
    return joined([f"{getattr(role, name):,} {name}" for name in SHOWN if getattr(role, name)]) or "no change"


def _total(role: RoleCounts) -> int:
    return sum(getattr(role, name) for name in SHOWN)
