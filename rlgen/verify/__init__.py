"""Verification of run folders: what is damaged or missing, and what can be saved. Imports no torch."""

from rlgen.verify.damage import Damage
from rlgen.verify.run import Report, repair, verify

__all__ = ["Damage", "Report", "repair", "verify"]
