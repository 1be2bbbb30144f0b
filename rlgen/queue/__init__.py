"""Several runs from a TOML file, some of them side by side: `rlgen train FILE.toml`."""
