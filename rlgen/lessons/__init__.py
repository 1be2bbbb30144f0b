"""Lessons: claims of a deep-learning course as experiments, each declared in one TOML file."""
