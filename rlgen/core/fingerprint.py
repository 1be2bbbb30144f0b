"""The fingerprint of the files of a dataset: a run says so where they changed since its training."""

import logging
from collections.abc import Mapping
from typing import Any

from rlgen.core.algorithm import Algorithm

log = logging.getLogger("rlgen")


def of(algorithm: Algorithm) -> str | None:
    """That of the files of a dataset that may change; None without such files."""
    return algorithm.describe_task().get("fingerprint")


def compare(name: str, info: Mapping[str, Any], algorithm: Algorithm) -> None:
    """Warn where the files of the dataset of the run `name`, of which run.json says `info`, changed."""
    then, now = info.get("fingerprint"), of(algorithm)
    if then is not None and then != now:
        log.warning(
            f"the files of {info.get('task')} changed since {name} was trained on them"
            f" (fingerprint {then} then, {now} now): scores of then and now do not compare"
        )
