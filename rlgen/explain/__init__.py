"""Explanations of a classifier's decisions, each beside that of randomised weights: maps, units, features."""
