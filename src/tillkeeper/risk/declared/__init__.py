"""Features as they are declared: what comes with the package, and what an installation adds."""
