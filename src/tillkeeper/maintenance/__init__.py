"""Maintenance: changes that are planned, rehearsed on a restored copy, guarded by the money, and reported.

Its packages, from the ground: backups; steps (the kinds of work); plans (what shall be done, when, and who agreed);
runs (doing it); reports and notices (telling it). Each is entered by its own door.
"""
