"""Records of the schemas before: what they say in the words of this one."""

from __future__ import annotations

from typing import Any


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 1 to 3 as one of this schema. They knew one suite, its phases and its two formulas; the first
    knew one recipe and no backbone.
    """
    if "cell" not in raw:
        return raw
    if "recipe" in raw["cell"]:
        recipe = raw["cell"]["recipe"]
        cell = {name: value for name, value in raw["cell"].items() if name != "recipe"}
        raw = raw | {"cell": cell | {"recipes": [recipe] if recipe else [], "weights": ""}}
        raw |= {"history": [raw["history"]]} if raw.get("history") else {}
    cell = dict(raw["cell"])
    settings = dict(cell["settings"])
    phases = settings.pop("phases", None)
    numbers = [repr(value).removesuffix(".0") for phase in phases or () for value in phase.values()]
    cell["settings"] = settings | {"facts": {"phases": ",".join(numbers)} if phases else {}}
    if settings["target_scaling"] == "standard":
        cell["settings"]["unit"] = ""
    if (method := cell["architecture"].get("method")) is not None:
        cell["encoding"] = {"name": "voigt-reuss-hill" if method == "voigt_reuss_hill" else "volume-fraction"}
        cell["architecture"] = cell["architecture"] | {"method": method.replace("voigt_reuss_hill", "identity")}
    if "configurations" in cell["architecture"]:
        tried = [
            {"architecture" if name == "network" else name: value for name, value in one.items()}
            for one in cell["architecture"]["configurations"]
        ]
        cell["architecture"] = cell["architecture"] | {"configurations": tried}
    new = {name: value for name, value in raw.items() if name != "physics"} | {"cell": cell}
    if raw.get("held_out"):
        units = ["GPa"] * len(raw["held_out"]["targets"])
        new |= {"metrics": raw.get("physics", {}), "held_out": raw["held_out"] | {"units": units}}
    return new
