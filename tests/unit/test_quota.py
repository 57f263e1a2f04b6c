"""A quota: so many at once, then as many as time gives back; each caller has a bucket."""

import pytest

from tillkeeper.base import limits
from tillkeeper.base.quota import Quota


def test_a_bucket_empties_and_fills_again() -> None:
    quota = Quota(3, 60.0)
    assert [quota.take("anna", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not quota.take("anna", 19.9)
    assert quota.take("anna", 20.0)
    assert not quota.take("anna", 20.0)
    assert [quota.take("anna", 1e6) for _ in range(4)] == [True, True, True, False]


def test_each_caller_has_a_bucket_and_there_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEY_CACHE_SIZE", 10)
    quota = Quota(1, 60.0)
    assert all(quota.take(n, 0.0) for n in range(50))
    assert not quota.take(49, 0.0)
    assert len(quota._buckets) == 10
