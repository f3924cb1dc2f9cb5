"""The same homogenization by scikit-fem: bilinear quadrilaterals, one per pixel, full integration, direct solver.

It shares nothing with the FFT solver but the statement of the problem.
"""

import numpy as np
import scipy.sparse.linalg
from skfem import Basis, BilinearForm, ElementQuad1, ElementVector, LinearForm, MeshQuad, asm

# Strain (Voigt, engineering) from the gradients of three displacements that do not vary along x3.
_STRAIN = (((0, 0),), ((1, 1),), (), ((2, 1),), ((2, 0),), ((0, 1), (1, 0)))


def homogenize(phases, stiffnesses):
    """Effective stiffness (6, 6) of one image (h, w) of phases, extruded along x3 and periodic."""
    height, width = phases.shape
    mesh = MeshQuad.init_tensor(np.arange(width + 1.0), np.arange(height + 1.0))
    basis = Basis(mesh, ElementVector(ElementQuad1(), 3), intorder=2)
    middle = mesh.p[:, mesh.t].mean(axis=1)
    stiffness = stiffnesses[phases[middle[1].astype(int), middle[0].astype(int)]].transpose(1, 2, 0)
    present = stiffnesses.any(axis=0)  # entries that no phase has cost nothing

    # Closed over: a field handed to a form as a parameter is copied whole at every access.
    @BilinearForm
    def energy(u, v, w):
        left, right = _strain(v.grad), _strain(u.grad)
        pairs = [(i, j) for i in left for j in right if present[i, j]]
        return sum(stiffness[i, j][:, None] * (left[i] * right[j]) for i, j in pairs)

    def work(load):
        @LinearForm
        def form(v, w):
            return sum(stiffness[i, load][:, None] * part for i, part in _strain(v.grad).items() if present[i, load])

        return form

    loads = np.array([asm(work(load), basis) for load in range(6)])
    fluctuations = _solve_periodic(mesh, basis, asm(energy, basis), -loads.T)
    mean = stiffness.mean(axis=2) + loads @ fluctuations / mesh.nelements
    return (mean + mean.T) / 2


def _strain(gradient):
    """Voigt index: strain, of those that displacements contribute to."""
    return {i: sum(gradient[axes] for axes in terms) for i, terms in enumerate(_STRAIN) if terms}


def _solve_periodic(mesh, basis, matrix, loads):
    """Displacements (dofs, loads): opposite edges tied, and the first node held."""
    width, height = mesh.p.max(axis=1)
    wrapped = np.where(mesh.p == [[width], [height]], 0, mesh.p)
    node = (wrapped[1] * width + wrapped[0]).astype(int)
    tied = np.empty(basis.N, int)
    tied[basis.nodal_dofs] = 3 * node + np.arange(3)[:, None]
    count = tied.max() + 1
    gather = scipy.sparse.csr_matrix((np.ones(basis.N), (np.arange(basis.N), tied)), (basis.N, count))
    reduced = (gather.T @ matrix @ gather).tocsc()[3:, 3:]
    solution = np.zeros((count, loads.shape[1]))
    # Without pivoting, which a positive definite matrix does not need, factors are sparser and quicker to come by.
    factors = scipy.sparse.linalg.splu(
        reduced, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
    )
    solution[3:] = factors.solve((gather.T @ loads)[3:])
    return gather @ solution
