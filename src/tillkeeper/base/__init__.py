"""The ground: money, ids, clock, limits, results. No input, no output, no state."""
