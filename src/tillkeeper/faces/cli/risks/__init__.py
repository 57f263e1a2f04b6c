"""The commands of `till risk`, one file a field."""
