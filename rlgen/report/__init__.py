"""Curves, comparisons, pictures and the console. Imports no torch."""
