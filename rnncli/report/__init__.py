"""A report of runs: one HTML page that needs nothing else. A section of it is one entry of a table and one file."""
