"""The agent: the work that nobody waits for and exactly one process does."""

from tillkeeper.faces.agent.active import Agent
from tillkeeper.faces.agent.loops import Loop, loops_of

__all__ = ["Agent", "Loop", "loops_of"]
