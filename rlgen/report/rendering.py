"""A figure of matplotlib as the bytes of its file."""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rendered(figure: "Figure", **how: Any) -> bytes:
    """The content of the file that `figure.savefig` writes, with its keywords.

    Rendered in memory: on a full disk the writer of PDF fails with an error of its own, in place of that of the system.
    """
    content = io.BytesIO()
    figure.savefig(content, **how)
    return content.getvalue()
