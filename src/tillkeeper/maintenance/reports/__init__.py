"""Reports: what a run did to the money, the customers and the machine; signed."""
