"""The command line under `torchrun`: several processes with the same words, one of which is in charge."""

from rlgen import catalog
from rlgen.core import torchrun
from rlgen.core.errors import UserError

HELP = {"-h", "--help"}


def followed(words: list[str]) -> bool:
    """Train along, or do nothing, in a process of torchrun other than the first; False in the first.

    Raises UserError for a command that is not a training.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    training = command.lower() in catalog.CATALOG or command == "resume"
    if torchrun.rank() == 0:
        if not training:
            raise UserError(
                f"torchrun: `rlgen{f' {command}' * bool(command)}` runs in one process: start it without torchrun;"
                " rlgen gan mnist, rlgen classify mnist and rlgen resume train in several"
            )
        return False
    if training and not HELP & set(words):
        from rlgen.following import follow

        follow()
    return True
