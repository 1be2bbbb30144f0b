from rlgen.core.run import Run


class Recorded(Run):
    """A run that records the calls of the loop with their times."""

    def __init__(self, directory):
        super().__init__(directory)
        self.events = []

    def collect(self, metrics):
        self.events.append(("step", metrics["time_squared"] ** 0.5))
        super().collect(metrics)

    def flush(self, time):
        self.events.append(("flush", time))
        super().flush(time)

    def record(self, time, metrics, score=None):
        if score:
            self.events.append(("evaluate", time))
        super().record(time, metrics, score)

    def save(self, algorithm, last=False):
        self.events.append(("last" if last else "save", algorithm.time))
        super().save(algorithm, last)


def raise_(error):
    """A function that raises `error`."""

    def fail():
        raise error

    return fail
