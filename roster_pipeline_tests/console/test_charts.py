"""The charts of a year: the places of lines and bars, and the words next to them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from roster_pipeline.console.charts import HEIGHT, WIDTH, trend_bars, trend_line, year_charts
from roster_pipeline.directory.school_history import Week


def week(place: int, people: int, changes: int, records: int = 0, rejected: int = 0) -> Week:
    monday = date(2026, 1, 5) + timedelta(weeks=place)
    return Week(monday, people, changes, 0, 0, 0, records, rejected)


LINES: dict[str, tuple[list[float | None], list[tuple[float, float]]]] = {
    "up": ([10, 20], [(0, HEIGHT - 6), (WIDTH, 6)]),
    "a gap is bridged": ([10, None, 20], [(0, HEIGHT - 6), (WIDTH, 6)]),
    "always the same": ([5, 5], [(0, HEIGHT - 6), (WIDTH, HEIGHT - 6)]),
    "one value is no line": ([5], []),
    "none": ([None, None], []),
}


@pytest.mark.parametrize(("points", "wanted"), LINES.values(), ids=LINES.keys())
def test_a_line_goes_from_the_least_to_the_most(points: list[float | None], wanted: list[tuple[float, float]]) -> None:
    drawn = re.findall(r"([\d.]+),([\d.]+)", str(trend_line(points, "words")))
    assert [(float(x), float(y)) for x, y in drawn] == wanted


def test_bars_are_as_high_as_their_share_of_the_most() -> None:
    drawn = str(trend_bars([0, 5, 10], '<"words">'))
    assert [float(height) for height in re.findall(r'height="([\d.]+)"', drawn)] == [HEIGHT / 2, HEIGHT]
    assert 'aria-label="&lt;&#34;words&#34;&gt;"' in drawn
    assert str(trend_bars([0, 0], "words")) == ""


def test_a_year_is_told_in_words_and_a_first_week_is_none() -> None:
    weeks = [week(0, 900, 20, 1000, 100), week(1, 950, 5), week(2, 920, 30, 1000, 50)]
    charts = {title: words for title, words, _ in year_charts(weeks)}
    assert "920 now, 900 to 950 in a year" in charts.values()
    assert "30 this week, 55 in a year" in charts.values()
    assert any(words.startswith("95") for words in charts.values()), charts
    assert year_charts(weeks[:1]) == []
