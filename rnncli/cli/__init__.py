"""The command line. Each command parses, makes one call and prints; heavy imports stand inside command bodies."""
