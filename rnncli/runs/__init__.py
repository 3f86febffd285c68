"""Run directories: what training leaves behind. Imports nothing by itself."""
