"""What was loaded for the interactive panels."""

from typing import Any


def describe(algorithm: Any, request: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Time of the loaded weights in steps or images, number of parameters, and how often the session was asked."""
    session["count"] = session.get("count", 0) + 1
    return {"time": algorithm.time, "parameters": algorithm.parameter_count(), "requests": session["count"]}
