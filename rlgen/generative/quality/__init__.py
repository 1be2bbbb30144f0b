"""How good samples and codes are."""
