"""Backups: base backups and write-ahead log, encrypted, in a folder or an S3-compatible store; restore and drill."""
