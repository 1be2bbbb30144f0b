"""Shared by all algorithms: the training loop, run folders, checkpoints, settings, devices, random streams."""
