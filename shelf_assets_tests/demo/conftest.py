"""One full drawn day for all tests that need one: drawing 48 photos takes seconds."""

from __future__ import annotations

from datetime import date

import pytest

from shelf_assets.demo.draw import DrawnPhoto, draw_day


@pytest.fixture(scope="package")
def full_day() -> list[DrawnPhoto]:
    return list(draw_day(3, date(2025, 6, 1)))
