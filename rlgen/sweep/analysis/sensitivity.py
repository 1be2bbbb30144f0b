"""How far the score falls around the best setting when settings change, one at a time and together.

After Adkins et al. 2024, arXiv:2412.07165, whose sensitivity is what an algorithm loses without tuning, and whose
effective dimensionality is the number of settings that have to be tuned for 95 % of the gain. The score between trials
is that of a Gaussian process (Rasmussen and Williams 2006): of known functions with 24 and 60 trials it gave the falls
within a tenth, where forests of trees gave about half of them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlgen.report.statistics import Floats
from rlgen.sweep.analysis.outcomes import Interval
from rlgen.sweep.analysis.settings import Setting, encode, places
from rlgen.sweep.space import Value

DRAWS = 256  # random settings of the searched range
GAIN = 0.95  # share of the gain of tuning that counts as all of it
MOST = 400  # trials of the process, which takes time by their third power; beyond it some drawn at random
JITTER = 1e-8  # of scores of variance 1, without which equal settings have no inverse
Z = 1.96  # standard deviations to the end of a 95 % interval


@dataclass(frozen=True)
class Slice:
    """The expected score along one setting, all others as in the best trial."""

    setting: Setting
    best: Value  # value of the best trial
    centre: Floats  # (P,) expected score at each of `setting.values`, higher is better
    low: Floats  # (P,) ends of the 95 % interval
    high: Floats
    fall: Interval  # score at the best setting - mean score along this one


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity card of a study."""

    slices: tuple[Slice, ...]  # the setting with the deepest fall first
    together: Interval  # score at the best setting - mean score over all searched settings
    gains: tuple[tuple[str, float], ...]  # settings in the order of tuning, and the share of the gain with each more

    @property
    def dimensions(self) -> int:
        """The number of settings that have to be at their best for 95 % of the gain of tuning."""
        return next((i for i, (_, share) in enumerate(self.gains, 1) if share >= GAIN), len(self.gains))


def sensitivity(
    settings: Sequence[Setting], rows: Sequence[Mapping[str, Value]], scores: Floats, variances: Floats, best: int
) -> Sensitivity:
    """The falls around the setting of trial `best`, from settings (rows), scores (n,) and their variances (n,).

    Every value of the searched range weighs the same; those of a range are equally spaced on its scale. The intervals
    are those of the process at its fitted length scales.
    """
    process = Process(encode(settings, rows), scores, variances, best)
    centre, random = rows[best], np.random.default_rng(0)
    drawn: list[dict[str, Value]] = [{} for _ in range(DRAWS)]
    at_best, slices = encode(settings, [centre]), []
    for setting in settings:
        for row, place in zip(drawn, random.integers(len(setting.values), size=DRAWS), strict=True):
            row[setting.name] = setting.values[place]
        along = encode(settings, [{**centre, setting.name: value} for value in setting.values])
        mean, covariance = process(along)
        error = Z * np.sqrt(np.maximum(np.diag(covariance), 0))
        fall = _fall(process, at_best, along)
        slices.append(Slice(setting, centre[setting.name], mean, mean - error, mean + error, fall))
    anywhere = encode(settings, drawn)
    slices.sort(key=lambda found: -found.fall.value)
    return Sensitivity(tuple(slices), _fall(process, at_best, anywhere), _gains(process, settings, at_best, anywhere))


class Process:
    """The score as a function of settings, a Gaussian process with a length scale per column.

    Its noise is that of the seeds, and white noise in addition.
    """

    def __init__(self, x: Floats, y: Floats, variances: Floats, best: int) -> None:
        """Fit to settings (n, columns), scores (n,) and the variances (n,) of these."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        if len(y) > MOST:
            kept = np.append(best, np.random.default_rng(0).choice(np.delete(np.arange(len(y)), best), MOST - 1, False))
            x, y, variances = x[kept], y[kept], variances[kept]
        smooth = ConstantKernel(1.0, (0.05, 50)) * Matern(np.ones(x.shape[1]), (0.1, 100), nu=1.5)
        kernel = smooth + WhiteKernel(0.1, (1e-4, 2))
        self.spread = float(y.std()) or 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a length scale at its bound, as that of a setting without an effect
            noise = variances / self.spread**2 + JITTER
            self.fitted = GaussianProcessRegressor(kernel, alpha=noise, n_restarts_optimizer=1, random_state=0)
            self.fitted.fit(x, (y - y.mean()) / self.spread)
        self.mean = float(y.mean())

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Expected scores at the inputs (m, columns): (m,), and their covariance without that of the noise: (m, m)."""
        mean, covariance = self.fitted.predict(x, return_cov=True)
        noise = self.fitted.kernel_.k2.noise_level * np.eye(len(x))
        return self.mean + self.spread * mean, self.spread**2 * (covariance - noise)


def _fall(process: Process, best: Floats, others: Floats) -> Interval:
    """Score at `best` (1, columns) - mean score at the `others` (m, columns)."""
    mean, covariance = process(np.concatenate([best, others]))
    weights = np.append(1.0, np.full(len(others), -1 / len(others)))
    value, error = float(weights @ mean), Z * float(np.sqrt(max(weights @ covariance @ weights, 0)))
    return Interval(value, value - error, value + error)


def _gains(
    process: Process, settings: Sequence[Setting], best: Floats, anywhere: Floats
) -> tuple[tuple[str, float], ...]:
    """Settings are put to their best value one after the other, the one that helps most first."""
    x, left, found = anywhere.copy(), list(settings), []
    untuned, tuned = float(process(x)[0].mean()), float(process(best)[0][0])
    while left:
        tried = np.stack([x] * len(left))
        for copy, setting in zip(tried, left, strict=True):
            copy[:, places(settings, setting)] = best[:, places(settings, setting)]
        scores = [float(process(copy)[0].mean()) for copy in tried]
        place = int(np.argmax(scores))
        x = tried[place]
        found.append((left.pop(place).name, (scores[place] - untuned) / (tuned - untuned) if tuned > untuned else 1.0))
    return tuple(found)
