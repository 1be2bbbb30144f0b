"""Datasets as one tensor of bytes, by name. Imports no torch before images are loaded."""

from rlgen.data.datasets import NAMES, SOURCES, Dataset, Split, canonical, listing, load, module_of, resolve, short
from rlgen.data.description import MAX_NAMES, class_names, describe

__all__ = [
    "MAX_NAMES",
    "NAMES",
    "SOURCES",
    "Dataset",
    "Split",
    "canonical",
    "class_names",
    "describe",
    "listing",
    "load",
    "module_of",
    "resolve",
    "short",
]
