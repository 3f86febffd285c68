"""Tasks and their data: examples as arrays of ids, and the way from a line of text to an example and back."""
