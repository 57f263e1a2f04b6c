"""Monitoring: what is measured and kept, what it should be, and who is told when it is not."""
