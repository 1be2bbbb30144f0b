"""The command line. Imports no torch: that is left to the command that needs it."""
