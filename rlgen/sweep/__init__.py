"""Studies: settings searched over trials of several seeds, the best trained again on fresh ones. Imports no torch."""
