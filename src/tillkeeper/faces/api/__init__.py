"""The API: REST in the manner of Stripe, over the turn."""

from tillkeeper.faces.api.app import create_api
from tillkeeper.faces.api.door import Counter

__all__ = ["Counter", "create_api"]
