"""What every algorithm shares: the loop, the run folder, checkpoints, options, devices, seeds."""
