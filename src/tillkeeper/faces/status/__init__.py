"""The status page: what works and what does not, for everybody; also while the database is away."""

from tillkeeper.faces.status.app import create_status
from tillkeeper.faces.status.keeper import Keeper

__all__ = ["Keeper", "create_status"]
