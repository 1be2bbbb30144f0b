"""Checks that every setting of a model has its effect."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple


class Wire(NamedTuple):
    """With `settings` the model has `expected` where `observe` reads; with the defaults it has something else."""

    settings: dict[str, Any]
    observe: Callable[[Any], Any]
    expected: Any


def check_wire(wire, build):
    assert wire.observe(build()) != wire.expected, "the default has the same effect: choose another value"
    assert wire.observe(build(**wire.settings)) == wire.expected


def check_every_field_has_a_wire(wires, settings):
    assert set(wires) == {field.name for field in fields(settings)}
    for name, wire in wires.items():
        assert name in wire.settings, f"the wire of {name} leaves it at its default"
