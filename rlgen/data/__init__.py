"""Datasets as one tensor of bytes, by name. Imports no torch before images are loaded."""

from rlgen.data.datasets import NAMES, SOURCES, Dataset, Split, canonical, listing, load, resolve, short

__all__ = ["NAMES", "SOURCES", "Dataset", "Split", "canonical", "listing", "load", "resolve", "short"]
