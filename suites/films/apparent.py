"""Apparent plane-stress stiffness of films, under three kinds of boundary condition.

Periodic displacements, homogenized by the project's FFT solver, are what films are labelled by. Uniform strain on the
boundary (linear displacements) and uniform stress (constant tractions) bound it from above and below, by finite
elements that share nothing with that solver: bilinear, one a pixel, fully integrated. Hill (1963), J. Mech. Phys.
Solids 11, 357; Huet (1990), same journal 38, 813. Stiffness is in Voigt order 11, 22, 12 with engineering shear strain.

Two things hold exactly for films of one cubic crystal, whatever their grains. A uniform dilatation of the plane causes
the same uniform stress at every angle, so C11 + C12 = C22 + C12 and C16 + C26 = 0 are the crystal's own, and E1 is E2.
And the determinant of the deviatoric compliance, shifted by half the inverse of the plane bulk modulus, is the
crystal's own in periodic films, as that of the conductivity is in polycrystals (Dykhne 1970): the shift makes the plane
incompressible (Cherkaev, Lurie and Milton 1992, Proc. R. Soc. Lond. A 438, 519). `invariants` gives the three.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from harness.errors import BenchError
from suites.films.crystal import Crystal, plane_stress
from suites.films.tessellation import SIZE, Film, Grains, grains
from suites.microstructure.homogenization import homogenize

Floats = NDArray[np.float64]

CONSTANTS = ("E1", "E2", "G12", "nu12")
"""Young's moduli along x1 and x2, shear modulus, and the contraction along x2 over the extension along x1."""

_TOLERANCE, _ROUGH = 1e-5, 1e-3  # of the residual, of films and of bounds: both are energies, whose error is the square
_IN_PLANE, _OUT_OF_PLANE = (0, 1, 5), (2, 3, 4)  # Voigt indices of 11, 22, 12 and of 33, 23, 13


def engineering(stiffness: Floats) -> Floats:
    """(..., 4) the constants `CONSTANTS` of plane-stress stiffness (..., 3, 3), moduli in its unit."""
    compliance = np.linalg.inv(stiffness)
    s11, s22, s66 = (compliance[..., i, i] for i in range(3))
    return np.stack([1 / s11, 1 / s22, 1 / s66, -compliance[..., 0, 1] / s11], axis=-1)


def invariants(stiffness: Floats) -> Floats:
    """(..., 3) what plane-stress stiffness (..., 3, 3) of a film shares with its crystal, exactly.

    C11 + C12 and C22 + C12 in its unit, and the determinant of the shifted deviatoric compliance in its inverse square.
    """
    bulk = np.stack([stiffness[..., 0, 0], stiffness[..., 1, 1]], axis=-1) + stiffness[..., 0, 1, None]
    basis = np.array([[1, -1, 0], [0, 0, 2]]) / np.sqrt(2)  # unit deviatoric strains, and what they are in Voigt's
    deviatoric = np.linalg.inv(basis @ stiffness @ basis.T)
    shifted = np.linalg.det(deviatoric + np.eye(2) / bulk.mean(axis=-1)[..., None, None])
    return np.concatenate([bulk, shifted[..., None]], axis=-1)


def apparent(film: Film, crystal: Crystal, size: int = SIZE) -> Floats:
    """(3, 3) apparent stiffness in GPa of a periodic film, on size x size pixels."""
    return periodic(grains(film, size), plane_stress(crystal, film.degrees))


def periodic(grains: Grains, stiffnesses: Floats, tolerance: float = _TOLERANCE) -> Floats:
    """(3, 3) apparent stiffness of periodic `grains` (h, w) that index plane-stress `stiffnesses` (k, 3, 3).

    The solver knows media extruded along x3 and all six strains. The reduced stiffness takes the place of its in-plane
    rows, and what is left is uniform and coupled to nothing, so that it neither carries load nor feels any. Raises
    NotConverged and ValueError as `homogenize` does.
    """
    embedded = np.zeros((len(stiffnesses), 6, 6))
    embedded[np.ix_(range(len(stiffnesses)), _IN_PLANE, _IN_PLANE)] = stiffnesses
    embedded[:, _OUT_OF_PLANE, _OUT_OF_PLANE] = stiffnesses[:, 2, 2].mean()
    effective: Floats = homogenize(grains[None], embedded, tolerance)[0][np.ix_(_IN_PLANE, _IN_PLANE)]
    return effective


class Bounds(NamedTuple):
    """Apparent stiffness (3, 3) under uniform stress and under uniform strain."""

    lower: Floats
    upper: Floats


def bounds(grains: Grains, stiffnesses: Floats) -> Bounds:
    """Apparent stiffness (3, 3) of `grains` (h, w) that index plane-stress `stiffnesses` (k, 3, 3), from both sides.

    The window is cut out of the film here, not repeated. Raises BenchError where scikit-fem is not installed.
    """
    elements = _elements(grains.shape)
    of_pixels = stiffnesses[grains.ravel()[elements.pixels]]
    matrix = elements.matrix(of_pixels)
    tractions = elements.loads(np.broadcast_to(np.eye(3), of_pixels.shape))
    compliance = _work(matrix, elements.free, tractions) / grains.size
    strained = elements.loads(of_pixels)
    relaxed = _work(matrix, elements.inner, strained) / grains.size
    return Bounds(np.asarray(np.linalg.inv(compliance), np.float64), of_pixels.mean(axis=0) - relaxed)


def stress_field(grains: Grains, stiffnesses: Floats) -> Floats:
    """(h, w) the stress along x1 where tractions on the boundary make it 1 on average, and all other stress 0.

    Raises BenchError as `bounds` does.
    """
    elements = _elements(grains.shape)
    of_pixels = stiffnesses[grains.ravel()[elements.pixels]]
    pull = elements.loads(np.broadcast_to(np.eye(3), of_pixels.shape))[:, :1]
    displacements = _solve(elements.matrix(of_pixels), elements.free, pull)[:, 0]
    strains = displacements[elements.dofs] @ elements.works.T  # means over an element, whose area is 1
    field = np.empty(grains.size)
    field[elements.pixels] = np.einsum("ej,ej->e", of_pixels[:, 0], strains)
    return field.reshape(grains.shape)


class _Part(NamedTuple):
    """Degrees of freedom that may move, and what solves for them in a homogeneous medium."""

    dofs: NDArray[np.intp]
    solver: Any


class _Elements(NamedTuple):
    """Bilinear elements of one shape of image, with two displacements at each node; one element a pixel.

    `pixels` (e,) is the pixel of each element and `dofs` (e, 8) are its degrees of freedom. `energies` (9, 64) and
    `works` (3, 8) are integrals over an element: of products of two strains, and of strains. All but three dofs are
    `free` of rigid motion; those off the boundary are `inner`.
    """

    pixels: NDArray[np.intp]
    dofs: NDArray[np.intp]
    energies: Floats
    works: Floats
    free: _Part
    inner: _Part

    def matrix(self, stiffnesses: Floats) -> Any:
        """The sparse stiffness matrix for the stiffnesses (e, 3, 3) of the elements."""
        count = self.dofs.max() + 1
        rows, columns = self.dofs.repeat(8, axis=1).ravel(), np.tile(self.dofs, 8).ravel()
        values = stiffnesses.reshape(-1, 9) @ self.energies
        return scipy.sparse.coo_matrix((values.ravel(), (rows, columns)), (count, count)).tocsr()

    def loads(self, stresses: Floats) -> Floats:
        """(dofs, 3) the work of each column of `stresses` (e, 3, 3), uniform in an element.

        Of a stress that is the same in all of them it is that of the tractions on the boundary.
        """
        works = np.einsum("eij,ia->eaj", stresses, self.works)
        return np.stack([np.bincount(self.dofs.ravel(), works[..., j].ravel()) for j in range(3)], axis=1)


# Strain (Voigt, engineering): displacement and axis of each gradient in it.
_STRAIN = (((0, 0),), ((1, 1),), ((0, 1), (1, 0)))


@lru_cache(maxsize=1)
def _elements(shape: tuple[int, int]) -> _Elements:
    skfem = _scikit_fem()
    mesh = skfem.MeshQuad.init_tensor(np.arange(shape[1] + 1.0), np.arange(shape[0] + 1.0))
    basis = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementQuad1(), 2), intorder=2)
    middle = mesh.p[:, mesh.t].mean(axis=1).astype(int)
    first, second = basis.nodal_dofs
    corner, other = np.flatnonzero(mesh.p[1] == 0)[[0, -1]]  # of the first row of nodes
    everything = np.arange(basis.N)
    free = np.setdiff1d(everything, [first[corner], second[corner], second[other]])
    inner = np.setdiff1d(everything, basis.get_dofs().all())
    energies, works = _integrals(skfem)
    elements = _Elements(
        middle[1] * shape[1] + middle[0], basis.element_dofs.T, energies, works, _Part(free, None), _Part(inner, None)
    )
    isotropic = np.array([[1, 0.2, 0], [0.2, 1, 0], [0, 0, 0.4]])  # what solves for it is near enough to any crystal
    matrix = elements.matrix(np.broadcast_to(isotropic, (mesh.nelements, 3, 3)))
    return elements._replace(free=_Part(free, _factors(matrix, free)), inner=_Part(inner, _factors(matrix, inner)))


def _scikit_fem() -> Any:
    try:
        import skfem  # noqa: PLC0415  only bounds need it
    except ImportError:
        told = "bounds of films need scikit-fem, which is not installed here: pip install 'scikit-fem>=10'"
        raise BenchError(told) from None
    return skfem


def _integrals(skfem: Any) -> tuple[Floats, Floats]:
    """Integrals over an element of unit edge, its dofs in their local order: of products of strains, and of strains."""
    one = skfem.MeshQuad.init_tensor(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    basis = skfem.Basis(one, skfem.ElementVector(skfem.ElementQuad1(), 2), intorder=2)
    order = basis.element_dofs[:, 0]

    def strain(gradient: Any, index: int) -> Any:
        return sum(gradient[axes] for axes in _STRAIN[index])

    def energy(i: int, j: int) -> Any:
        form = skfem.BilinearForm(lambda u, v, _: strain(v.grad, i) * strain(u.grad, j))
        return form.assemble(basis).toarray()[np.ix_(order, order)].ravel()

    works = [skfem.LinearForm(lambda v, _, i=i: strain(v.grad, i)).assemble(basis)[order] for i in range(3)]
    return np.stack([energy(i, j) for i in range(3) for j in range(3)]), np.stack(works)


def _factors(matrix: Any, dofs: NDArray[np.intp]) -> Any:
    # Without pivoting, which a positive definite matrix does not need, factors are sparser and quicker to come by.
    return scipy.sparse.linalg.splu(
        matrix[dofs][:, dofs].tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
    )


def _work(matrix: Any, part: _Part, loads: Floats) -> Floats:
    """(l, l) the work of `loads` (dofs, l) on each other's displacements; its error is of the square of theirs."""
    displacements = _solve(matrix, part, loads)
    once = displacements.T @ loads
    work: Floats = once + once.T - displacements.T @ (matrix @ displacements)
    return work


def _solve(matrix: Any, part: _Part, loads: Floats) -> Floats:
    """Displacements (dofs, l) under `loads` (dofs, l), zero where they may not move: conjugate gradients, each load's
    own, preconditioned by the homogeneous medium, which crystals are near to.
    """
    displacements = np.zeros(loads.shape)
    residual = loads[part.dofs]
    direction = preconditioned = part.solver.solve(residual)
    norm = first = (residual * preconditioned).sum(axis=0)
    loaded = first > 1e-24 * np.abs(loads).max() ** 2 * len(loads)  # round-off is not a load
    while (active := loaded & (norm > _ROUGH**2 * first)).any():
        moved = np.zeros(loads.shape)
        moved[part.dofs] = direction
        stress = (matrix @ moved)[part.dofs]
        step = np.where(active, norm / np.where(active, (direction * stress).sum(axis=0), 1), 0)
        displacements[part.dofs] += step * direction
        residual = residual - step * stress
        preconditioned = part.solver.solve(residual)
        before, norm = norm, (residual * preconditioned).sum(axis=0)
        direction = preconditioned + np.where(active, norm / np.where(active, before, 1), 0) * direction
    return displacements
