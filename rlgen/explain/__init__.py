"""Explanations of what networks decide, each beside that of randomised weights: maps, units, features."""
