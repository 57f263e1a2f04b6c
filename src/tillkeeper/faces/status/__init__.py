"""The status page: what works and what does not, for everybody; also while the database is away."""
