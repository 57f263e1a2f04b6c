"""The agent: the work that nobody waits for and exactly one process does."""

from tillkeeper.faces.agent.active import Agent
from tillkeeper.faces.agent.loops import Loop, loops_of
from tillkeeper.faces.agent.proofs import Proofs

__all__ = ["Agent", "Loop", "Proofs", "loops_of"]
