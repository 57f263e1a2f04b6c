"""The console: the operators' pages, in a process of its own, apart from the api."""

from tillkeeper.faces.console.app import create_console

__all__ = ["create_console"]
