"""Units of stress and stiffness, and what they are in GPa."""

from __future__ import annotations

import difflib
import re
import unicodedata

from harness.errors import BenchError

# 1 nm^2 = 1e-18 m^2, so 1 N/nm^2 = 1e18 Pa = 1e9 GPa. A pound-force per square inch: NIST SP 811, appendix B.8.
GPA_PER_UNIT = {
    "GPa": 1.0,
    "MPa": 1e-3,
    "kPa": 1e-6,
    "Pa": 1e-9,
    "N/nm^2": 1e9,
    "N/um^2": 1e3,
    "N/mm^2": 1e-3,
    "N/m^2": 1e-9,
    "TPa": 1e3,
    "N/cm^2": 1e-5,
    "kN/mm^2": 1.0,
    "kN/m^2": 1e-6,
    "MN/m^2": 1e-3,
    "GN/m^2": 1.0,
    "dyn/cm^2": 1e-10,
    "kbar": 1e-1,
    "bar": 1e-4,
    "Msi": 6.894757293168361,
    "ksi": 6.894757293168361e-3,
    "psi": 6.894757293168361e-6,
}


def gpa_per(unit: str) -> float:
    """How many GPa one `unit` is. Case, powers, products and the Greek mu may be written any way: N/m^2, N m⁻², N·m-2.

    Raises
    ------
    BenchError
        If there is no such unit; the message names the one meant where it can only be a slip of the pen, else all.
    """
    plain = _plain(unit)
    known = {_plain(name): name for name in GPA_PER_UNIT}
    if plain in known:
        return GPA_PER_UNIT[known[plain]]
    swapped = (plain[:at] + plain[at + 1] + plain[at] + plain[at + 2 :] for at in range(len(plain[:40]) - 1))
    near = [known[slip] for slip in swapped if slip in known]
    near += [
        known[match]
        for match in difflib.get_close_matches(plain, known, cutoff=0.8)
        # The first letter is a magnitude, and so is the length in a quotient: a guess would be wrong by powers of ten.
        if match[0] == plain[0] and "/" not in match
    ]
    hint = f": did you mean '{near[0]}'?" if near else f" (known: {', '.join(GPA_PER_UNIT)})"
    raise BenchError(f"unknown unit '{unit[:40]}'{hint}")


_PRODUCT = re.compile(r"([kmg]?n|dyne?)(m|cm|mm|um|nm)-2")


def _plain(unit: str) -> str:
    """One spelling for all ways to write a unit; NFKC makes superscripts digits and the micro sign a Greek mu."""
    plain = unicodedata.normalize("NFKC", unit).casefold().replace("μ", "u").replace("\N{MINUS SIGN}", "-")
    plain = re.sub(r"[\s*^()·⋅∙•]", "", plain).replace("dyne", "dyn")
    return _PRODUCT.sub(r"\1/\g<2>2", plain)
