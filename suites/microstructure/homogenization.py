"""Effective stiffness of periodic columnar media: images of phases, extruded along x3.

Strain and stress are in Voigt order 11, 22, 33, 23, 13, 12 with engineering shear strains. x1 runs along the columns of
an image (its last axis) and x2 along its rows; nothing varies along x3.

The solver descends from Moulinec and Suquet (1998), with the rotated scheme of Willot (2015, doi
10.1016/j.crme.2014.12.005), which is free of checkerboards, and conjugate gradients (Zeman et al. 2010). Its unknowns
are displacements: one field in antiplane shear and two in the plane, fewer than strains, and where no phase couples
the two problems they are solved apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from harness.errors import BenchError

TARGETS = ("C11", "C22", "C33", "C12", "C23", "C13", "C44", "C55", "C66")

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_ROWS, _COLUMNS = np.array([[int(digit) - 1 for digit in name[1:]] for name in TARGETS]).T
_IN_PLANE, _ANTIPLANE = (0, 1, 2, 5), (3, 4)  # Voigt indices of strains that isotropic phases do not couple
_PIXELS_AT_A_TIME = 64 * 64  # whose fields stay in the processor's cache; four times as many take half as long again


class NotConverged(BenchError):
    """The solver gave up on some images; `images` are their indices."""

    def __init__(self, images: Sequence[int], iterations: int, tolerance: float) -> None:
        super().__init__(
            f"homogenization did not converge to a relative residual of {tolerance:g} in {iterations} iterations "
            f"for image{'s' * (len(images) > 1)} {', '.join(map(str, images))}"
        )
        self.images = tuple(images)


def isotropic_stiffness(young: float, poisson: float) -> Floats:
    """(6, 6) stiffness of an isotropic material, in the unit of Young's modulus."""
    lame = young * poisson / ((1 + poisson) * (1 - 2 * poisson))
    shear = young / (2 * (1 + poisson))
    stiffness = np.diag([2 * shear] * 3 + [shear] * 3)
    stiffness[:3, :3] += lame
    return stiffness


def elastic_constants(stiffness: Floats) -> Floats:
    """The nine constants of `TARGETS` (..., 9) of stiffness matrices (..., 6, 6)."""
    constants: Floats = stiffness[..., _ROWS, _COLUMNS]
    return constants


def stiffness_matrices(constants: Floats) -> Floats:
    """(..., 6, 6) orthotropic stiffness of nine constants (..., 9) in the order of `TARGETS`."""
    stiffness = np.zeros((*constants.shape[:-1], 6, 6))
    stiffness[..., _ROWS, _COLUMNS] = constants
    stiffness[..., _COLUMNS, _ROWS] = constants
    return stiffness


def voigt_reuss(fractions: Floats, stiffnesses: Floats) -> tuple[Floats, Floats]:
    """Voigt's upper and Reuss's lower bound (..., 6, 6) for volume fractions (..., p) of stiffnesses (p, 6, 6)."""
    voigt = np.einsum("...p,pij->...ij", fractions, stiffnesses)
    reuss = np.linalg.inv(np.einsum("...p,pij->...ij", fractions, np.linalg.inv(stiffnesses)))
    return voigt, reuss


def homogenize(
    phases: NDArray[np.integer], stiffnesses: Floats, tolerance: float = 1e-6, max_iterations: int = 500
) -> Floats:
    """Effective stiffness (n, 6, 6) of `phases` (n, height, width), integers that index `stiffnesses` (p, 6, 6).

    Every stiffness must be symmetric and positive definite, of any anisotropy; the result is in their unit. Each load
    case is solved to the relative `tolerance` of the residual in the norm of the preconditioner; the effective
    stiffness is an energy, so its error is of the order of the square. Raises NotConverged naming the images, and
    ValueError for phases or stiffnesses that are none.
    """
    _check(phases, stiffnesses)
    effective = np.zeros((len(phases), 6, 6))
    failed: list[int] = []
    coupled = stiffnesses[np.ix_(range(len(stiffnesses)), _IN_PLANE, _ANTIPLANE)].any()
    problems = [tuple(range(6))] if coupled else [_IN_PLANE, _ANTIPLANE]
    at_a_time = max(1, _PIXELS_AT_A_TIME // max(1, phases[:1].size))
    for problem in (_Problem(strains, phases.shape[1:], stiffnesses) for strains in problems):
        for start in range(0, len(phases), at_a_time):
            chunk = slice(start, start + at_a_time)
            block, converged = problem.solve(phases[chunk], tolerance, max_iterations)
            effective[np.ix_(range(len(phases))[chunk], problem.strains, problem.strains)] = block
            failed += (start + np.flatnonzero(~converged)).tolist()
    if failed:
        raise NotConverged(sorted(set(failed)), max_iterations, tolerance)
    return effective


def _check(phases: NDArray[np.integer], stiffnesses: Floats) -> None:
    if stiffnesses.shape[1:] != (6, 6) or phases.ndim != 3:
        raise ValueError(f"phases {phases.shape} must be (n, h, w) and stiffnesses {stiffnesses.shape} (p, 6, 6)")
    if phases.size and not 0 <= phases.min() <= phases.max() < len(stiffnesses):
        raise ValueError(f"phases must index {len(stiffnesses)} stiffnesses, but reach {phases.min()}..{phases.max()}")
    slack = 1e-8 * np.abs(stiffnesses).max(initial=0)
    symmetric = np.allclose(stiffnesses, stiffnesses.transpose(0, 2, 1), rtol=0, atol=slack)
    if not symmetric or np.linalg.eigvalsh(stiffnesses).min() <= 0:
        raise ValueError("every stiffness must be symmetric and positive definite")


class _Problem:
    """The unit strains `strains` (Voigt indices) of one image size, which drive displacements of their own.

    In Fourier space strain = B u with B real: the factor that the rotated scheme's frequencies share, of modulus one,
    is taken into u. Fields are (image, load, component, row, column).
    """

    def __init__(self, strains: tuple[int, ...], shape: tuple[int, ...], stiffnesses: Floats) -> None:
        self.strains, self._shape, self._stiffnesses = strains, shape, stiffnesses
        gradients = _displacement_gradients(shape)
        # Strains that displacements contribute to: all but 33. Positions are within `strains`.
        self._driven = [position for position, strain in enumerate(strains) if strain != 2]
        displacements = sorted({d for position in self._driven for d in _DERIVATIVES[strains[position]]})
        self._compatibility = {
            (row, displacements.index(d)): gradients[axis]
            for row, position in enumerate(self._driven)
            for d, axis in _DERIVATIVES[strains[position]].items()
        }
        self._count = len(displacements)
        entries = [(row, d, gradient) for (row, d), gradient in self._compatibility.items()]
        self._of_strain = [[(g, d) for row, d, g in entries if row == one] for one in range(len(self._driven))]
        self._of_displacement = [[(g, row) for row, d, g in entries if d == one] for one in range(self._count)]
        self._share = _share_of_driven(stiffnesses[np.ix_(range(len(stiffnesses)), strains, strains)], self._driven)
        self._solved = list(range(len(strains))) if self._share is None else self._driven
        # Zero and the corner frequency have no gradient; the others have an invertible acoustic tensor.
        reference = stiffnesses.mean(axis=0)[np.ix_(strains, strains)]
        self._green = self._inverse_acoustic_tensor(reference[np.ix_(self._driven, self._driven)])
        self._unit_energy = np.prod(shape) * np.diag(reference)  # of each unit strain, summed over pixels
        last = shape[1] // 2
        weights = np.full(last + 1, 2.0)  # a half spectrum stands for the whole
        weights[0] = 1.0
        if shape[1] % 2 == 0:
            weights[last] = 1.0
        self._weights = np.repeat(weights, 2) / (shape[0] * shape[1])  # of real and imaginary parts

    def solve(
        self, phases: NDArray[np.integer], tolerance: float, max_iterations: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """The effective block (n, s, s), and which images converged (n,)."""
        stiffness, everything = self._stiffness_fields(phases), list(range(len(self.strains)))
        unit = np.eye(len(self.strains))[None, :, :, None, None]
        strain = np.broadcast_to(unit, (len(phases), *unit.shape[1:3], *self._shape)).copy()
        residual = -self._divergence(self._stress(stiffness, strain[:, self._solved], self._driven, everything))
        displacement = np.zeros_like(residual)
        direction = preconditioned = self._precondition(residual)
        norm = first = self._dot(residual, preconditioned)
        # Round-off is not a load: a homogeneous medium leaves a residual of a few ulps. Both sides are energies.
        loaded = first > 1e-24 * self._unit_energy[self._solved]
        for _ in range(max_iterations):
            active = loaded & (norm > tolerance**2 * first)
            if not active.any():
                break
            stress = self._stress(stiffness, self._strain(direction), self._driven, self._driven)
            force = self._divergence(stress)
            step = np.where(active, norm / np.where(active, self._dot(direction, force), 1), 0)[:, :, None, None, None]
            displacement += step * direction
            residual -= step * force
            preconditioned = self._precondition(residual)
            before, norm = norm, self._dot(residual, preconditioned)
            ratio = np.where(active, norm / np.where(active, before, 1), 0)
            direction = preconditioned + ratio[:, :, None, None, None] * direction
        converged: NDArray[np.bool_] = np.all(~loaded | (norm <= tolerance**2 * first), axis=1)
        fluctuation = self._strain(displacement)
        for place, load in enumerate(self._solved):
            strain[:, load, self._driven] += fluctuation[:, place]
        if self._share is not None:
            (left,) = set(everything) - set(self._solved)
            strain[:, left, self._driven] += np.einsum("l,nlsxy->nsxy", self._share, fluctuation)
        stress = self._stress(stiffness, strain, everything, everything)
        work, of = (field.reshape(*field.shape[:2], -1) for field in (strain, stress))
        energy = work @ of.transpose(0, 2, 1) / np.prod(self._shape)
        return (energy + energy.transpose(0, 2, 1)) / 2, converged

    def _stiffness_fields(self, phases: NDArray[np.integer]) -> dict[tuple[int, int], Floats]:
        """Each entry of the stiffness that some phase has: (image, row, column), by positions in `strains`."""
        block = self._stiffnesses[np.ix_(range(len(self._stiffnesses)), self.strains, self.strains)]
        return {(i, j): block[:, i, j][phases] for i, j in np.argwhere(block.any(axis=0)).tolist()}

    def _stress(
        self, stiffness: dict[tuple[int, int], Floats], strain: Floats, rows: list[int], columns: list[int]
    ) -> Floats:
        """The stresses `rows` that the strains `columns` cause; both are positions in `strains`."""
        stress = np.empty((*strain.shape[:2], len(rows), *self._shape))
        for row, i in enumerate(rows):
            used = [(column, j) for column, j in enumerate(columns) if (i, j) in stiffness]
            _sum([(stiffness[i, j][:, None], strain[:, :, column]) for column, j in used], stress[:, :, row])
        return stress

    def _strain(self, displacement: Complexes) -> Floats:
        """B u, in real space."""
        strain = np.empty((*displacement.shape[:2], len(self._driven), *displacement.shape[3:]), np.complex128)
        for row, derivatives in enumerate(self._of_strain):
            _sum([(gradient, displacement[:, :, d]) for gradient, d in derivatives], strain[:, :, row])
        fields: Floats = irfft2(strain, s=self._shape, overwrite_x=True)
        return fields

    def _divergence(self, stress: Floats) -> Complexes:
        """Transposed B on the driven stresses, in Fourier space."""
        transformed = rfft2(stress)
        divergence = np.empty((*stress.shape[:2], self._count, *transformed.shape[3:]), np.complex128)
        for d, derivatives in enumerate(self._of_displacement):
            _sum([(gradient, transformed[:, :, row]) for gradient, row in derivatives], divergence[:, :, d])
        return divergence

    def _precondition(self, residual: Complexes) -> Complexes:
        """The displacements that `residual` would cause in the reference medium."""
        displacement = np.empty_like(residual)
        for d in range(self._count):
            _sum([(self._green[d, e], residual[:, :, e]) for e in range(self._count)], displacement[:, :, d])
        return displacement

    def _dot(self, a: Complexes, b: Complexes) -> Floats:
        """Inner product per image and load (n, l), as in real space."""
        product: Floats = np.einsum("nlcxy,nlcxy->nly", a.view(float), b.view(float)) @ self._weights
        return product

    def _inverse_acoustic_tensor(self, reference: Floats) -> Floats:
        """Green operator of the reference medium: (d, e, row, column of the half spectrum)."""
        gradients = np.zeros((len(self._driven), self._count, *next(iter(self._compatibility.values())).shape))
        for (row, d), gradient in self._compatibility.items():
            gradients[row, d] = gradient
        acoustic = np.einsum("sdxy,st,texy->xyde", gradients, reference, gradients)
        moving = np.abs(gradients).max(axis=(0, 1)) > 1e-12
        green = np.zeros_like(acoustic)
        green[moving] = np.linalg.inv(acoustic[moving])
        return np.ascontiguousarray(green.transpose(2, 3, 0, 1))


def _sum(factors: Sequence[tuple[NDArray[Any], NDArray[Any]]], out: NDArray[Any]) -> None:
    """Fill `out` with the sum of the products, of one at least."""
    (one, other), *further = factors
    np.multiply(one, other, out=out)
    for one, other in further:
        out += one * other


def _share_of_driven(stiffnesses: Floats, driven: list[int]) -> Floats | None:
    """Of a unit strain that drives nothing of its own, which is 33, by how much of each driven one it drives the
    medium, so that its displacements are theirs so many times and need not be solved for; None where they are not, or
    there is no such strain. `driven` are positions in `stiffnesses` (p, s, s).

    What drives a medium are the jumps of stress between its phases: those of two are proportional everywhere, from
    which Hill (1964) has his relations. Shares larger than one would enlarge the errors of what was solved.
    """
    left = sorted(set(range(stiffnesses.shape[1])) - set(driven))
    if len(left) != 1:
        return None
    jumps = (stiffnesses - stiffnesses[:1])[:, driven].reshape(-1, stiffnesses.shape[1])
    share: Floats = np.linalg.lstsq(jumps[:, driven], jumps[:, left[0]])[0].astype(float)
    exact = np.abs(jumps[:, driven] @ share - jumps[:, left[0]]).max() <= 1e-12 * np.abs(stiffnesses).max()
    return share if exact and float(np.abs(share).sum()) <= 1 else None


# Strain (Voigt index): {displacement: axis of the derivative}; 33 has none, for nothing varies along x3.
_DERIVATIVES: dict[int, dict[int, int]] = {0: {0: 0}, 1: {1: 1}, 2: {}, 3: {2: 1}, 4: {2: 0}, 5: {0: 1, 1: 0}}


def _displacement_gradients(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Derivatives along x1 and x2 at each frequency of the half spectrum, in the rotated scheme.

    Willot (2015), in two dimensions, without the factor i exp(i (q1 + q2)) that both share: u lies on the
    corners of the pixels and its gradient in their middle.
    """
    q2 = np.pi * np.fft.fftfreq(shape[0])[:, None]
    q1 = np.pi * np.fft.rfftfreq(shape[1])[None, :]
    return 2 * np.sin(q1) * np.cos(q2), 2 * np.cos(q1) * np.sin(q2)
