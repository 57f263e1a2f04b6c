"""The city's day: which shops people go to at which hour of which day.

The city has its own fast clock, which only chooses the mix of behaviour; when a payment happens is the
platform's business.
"""

from tillkeeper.simulation.shops import CATEGORIES

FIRST_HOUR = 7
# A city day passes with so many payments, so a half-minute demo at 100 payments/s sees most of one.
PAYMENTS_PER_DAY = 4000
DAYS = 7
_WEEKEND = (5, 6)


def city_hour(payments: int) -> tuple[int, int]:
    """(day of the week from Monday = 0, hour) after so many payments of the city's life."""
    hours = FIRST_HOUR + payments * 24 // PAYMENTS_PER_DAY
    return hours // 24 % DAYS, hours % 24


def shop_weights(day: int, hour: int) -> tuple[float, ...]:
    """How much each category draws people at this hour, in the order of CATEGORIES."""
    return tuple(
        (category.often * category.hours[hour // 4] + 0.05) * (category.weekend if day in _WEEKEND else 1.0)
        for category in CATEGORIES
    )


def at_work(day: int, hour: int) -> bool:
    """Whether people with work are there at this hour."""
    return day not in _WEEKEND and 9 <= hour < 18
