"""A training of a second or two."""

SMALL = [
    *("--budget", "600", "--log-every", "200", "--eval-every", "300", "--save-every", "300"),
    *("--learning-starts", "100", "--epsilon-steps", "5000", "--train-freq", "4", "--gradient-steps", "1"),
]
