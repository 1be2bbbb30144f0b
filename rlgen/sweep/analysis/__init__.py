"""What a study has found: held-out scores, the price of tuning, sensitivity and importance of settings."""
