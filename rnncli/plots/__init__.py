"""Plots as files: the figure, its fonts and format; projections of states."""
