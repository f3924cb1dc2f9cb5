import warnings

import numpy as np
import pytest

from harness.errors import DataError
from suites.microstructure import dataset
from suites.microstructure.folder import read_folder
from suites.microstructure.generators import FAMILIES, generate
from suites.microstructure.homogenization import (
    TARGETS,
    elastic_constants,
    homogenize,
    isotropic_stiffness,
    voigt_reuss,
)
from suites.microstructure.materials import Phase, phases_of
from suites.microstructure.physics import check_physics, hill_deviations, room
from suites.microstructure.units import gpa_per
from tests.suites.microstructure.examples import shipped, told, write_shipped

SOFT, STIFF = PHASES = phases_of(shipped(1).facts)
FRACTIONS = shipped().images.mean(axis=(1, 2, 3), dtype=np.float64)
WRONG = [4, 17, 18, 33, 41, 59]  # a tenth


def judge(constants, fraction=FRACTIONS, phases=PHASES, unit="GPa"):
    """What is said, severity first; and whether one cause is to blame."""
    judged = check_physics(constants, fraction, phases, range(len(constants)), "labels.csv", unit)
    return [f"{f.severity}: {f.where}: {f.what}" for f in judged.findings], judged.explained


# --- the laws --------------------------------------------------------------------------------------------------------


def test_there_is_no_room_beyond_the_bounds_themselves():
    stiffnesses = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in PHASES])
    voigt, reuss = voigt_reuss(np.array([[0.6, 0.4]]), stiffnesses)
    fraction = np.array([0.4])
    assert room(elastic_constants(voigt), fraction, PHASES).below_voigt[0] == pytest.approx(0, abs=1e-9)
    assert room(elastic_constants(reuss), fraction, PHASES).above_reuss[0] == pytest.approx(0, abs=1e-9)
    between = room(elastic_constants((voigt + reuss) / 2), fraction, PHASES)
    assert between.least[0] > 1
    assert between.largest[0] == pytest.approx(np.abs(voigt).max())
    assert room(elastic_constants(1.1 * voigt), fraction, PHASES).least[0] < -5


def test_hills_relations_hold_to_rounding():
    """Hill (1964): three of the nine constants follow from the others and the volume fraction."""
    assert hill_deviations(shipped().targets, FRACTIONS, PHASES).max() < 1e-10


def test_hills_relations_notice_one_constant():
    for column, relation in ((5, 0), (4, 1), (2, 2)):
        wrong = shipped().targets.copy()
        wrong[:, column] *= 1.05
        assert (hill_deviations(wrong, FRACTIONS, PHASES)[:, relation] > 0.01).all()


def test_hills_relations_are_undefined_where_both_phases_are_alike_in_the_plane():
    same = (Phase(70, 0.33), Phase(70, 0.33))
    assert np.isnan(hill_deviations(shipped().targets, FRACTIONS, same)).all()
    made = dataset.make(dataset.Parameters(count=10, size=16, phases=same))
    assert judge(made.targets, made.images.mean(axis=(1, 2, 3)), same) == ([], False)


# --- no false alarm --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("soft", "stiff"),
    [
        (Phase(70, 0.33), Phase(420, 0.19)),
        (Phase(70, 0.33), Phase(7000, 0.19)),
        (Phase(1, 0.49), Phase(2, -0.5)),
        (Phase(1, 0.3), Phase(1.0001, 0.3)),
        (Phase(1, 0.499), Phase(100, 0.2)),
    ],
    ids=["6", "100", "auxetic", "hardly different", "rubber"],
)
def test_constants_of_these_phases_raise_no_alarm(soft, stiff):
    made = dataset.make(dataset.Parameters(count=20, size=32, phases=(soft, stiff)))
    assert judge(made.targets, made.images.mean(axis=(1, 2, 3), dtype=np.float64), (soft, stiff)) == ([], False)


@pytest.mark.parametrize("contrast", [6, 100])
def test_constants_of_a_finer_image_raise_none_either(contrast):
    masks, _ = generate(tuple(FAMILIES), 10, 128, seed=1)
    phases = (SOFT, Phase(contrast * SOFT.young, 0.19))
    stiffnesses = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in phases])
    constants = elastic_constants(homogenize(masks, stiffnesses, tolerance=1e-4))
    assert judge(constants, masks[:, ::2, ::2].mean(axis=(1, 2)), phases) == ([], False)


@pytest.mark.parametrize(("beyond", "wrong"), [(1.009, False), (1.03, True)])
def test_a_hundredth_beyond_the_bounds_is_a_discretisation_error(beyond, wrong):
    stiffnesses = np.stack([isotropic_stiffness(phase.young, phase.poisson) for phase in PHASES])
    fraction = np.linspace(0.3, 0.7, 9)
    voigt, _ = voigt_reuss(np.stack([1 - fraction, fraction], axis=-1), stiffnesses)
    said, _ = judge(elastic_constants(beyond * voigt), fraction)
    assert any(line.startswith("error") for line in said) == wrong


def test_the_shipped_data_raise_none(tmp_path):
    write_shipped(tmp_path, 520)
    assert told(tmp_path, phases=PHASES) == ([], [])


# --- what is wrong, and the likely cause -----------------------------------------------------------------------------


def changed(factor, columns=slice(None), rows=slice(None)):
    constants = shipped().targets.copy()
    part = np.ix_(np.arange(60)[rows], np.arange(9)[columns])
    constants[part] *= factor
    return constants


@pytest.mark.parametrize(("factor", "look", "remedy"), [(2, "doubled", "halve them"), (0.5, "halved", "double them")])
def test_shears_of_another_notation_are_recognised(factor, look, remedy):
    (said,), explained = judge(changed(factor, slice(6, 9)))
    assert f"where C44 C55 C66 look {look} in all rows: {remedy}" in said
    assert "; 60 rows: 1-60 (row " in said
    assert not explained


def test_shears_of_another_notation_in_some_rows_are_told_with_these():
    (said,), _ = judge(changed(2, slice(6, 9), WRONG))
    assert "look doubled: halve them" in said
    assert "6 rows: 5, 18-19, 34, 42, 60 (row " in said


def test_a_tenth_of_the_labels_is_told_with_its_rows():
    (said,), explained = judge(changed(1.5, rows=WRONG))
    assert said.startswith("error: labels.csv: outside the bounds of Voigt and Reuss: no composite of these phases")
    assert "6 rows: 5, 18-19, 34, 42, 60 (row " in said
    assert "above Voigt's" in said
    assert not explained


def test_a_label_inside_the_bounds_that_breaks_hills_relations_is_a_warning():
    (said,), _ = judge(changed(1.04, slice(0, 1), WRONG))
    assert said.startswith("warning: labels.csv: Hill's relations are broken")
    assert "6 rows: 5, 18-19, 34, 42, 60 (row " in said


def test_exchanged_phases_are_recognised():
    (said,), explained = judge(shipped().targets, phases=PHASES[::-1])
    assert "the phases look exchanged: name the soft one first, phases=70,0.33,410,0.19; " in said
    assert explained


def test_inverted_images_are_recognised():
    (said,), explained = judge(shipped().targets, 1 - FRACTIONS)
    assert "the phases look exchanged: invert the images: white is stiff; " in said
    assert explained


def test_inverted_images_are_told_once(tmp_path):
    write_shipped(tmp_path, images=1 - shipped().images)
    errors, warnings = told(tmp_path, phases=PHASES)
    assert (len(errors), warnings) == (1, [])


def test_rows_in_another_order_are_recognised():
    order = np.random.default_rng(0).permutation(60)
    (said,), explained = judge(shipped().targets[order])
    assert "would fit the images in another order: let a column `file` of the CSV name the image of each row" in said
    assert explained


def test_phases_that_nothing_explains_are_told_so():
    (said,), explained = judge(shipped().targets, phases=(Phase(70, 0.33), Phase(200, 0.3)))
    assert "no composite of these phases is so at the image's volume fraction; check rows and phases=; 60 rows" in said
    assert not explained


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3])
def test_phases_of_another_unit_are_recognised(factor):
    phases = tuple(Phase(phase.young * factor, phase.poisson) for phase in PHASES)
    (said,), explained = judge(shipped().targets, phases=phases)
    assert "phases and constants look like of two units: phases=70,0.33,410,0.19 would fit" in said
    assert explained


@pytest.mark.parametrize(("factor", "unit"), [(1e3, "MPa"), (1e6, "kPa"), (1e9, "Pa"), (1e-9, "N/nm^2")])
def test_constants_of_another_unit_are_recognised(factor, unit):
    (said,), explained = judge(changed(factor))
    assert f"phases and constants look like of two units: unit={unit} would fit; 60 rows" in said
    assert explained


def test_where_either_may_be_meant_both_remedies_are_told():
    phases = (Phase(0.07, 0.33), Phase(0.41, 0.19))
    (said,), _ = judge(shipped().targets, phases=phases)
    assert "phases=70,0.33,410,0.19 would fit, Young's moduli in GPa; or unit=MPa would fit" in said


def test_a_run_refuses_phases_in_mpa(tmp_path):
    """Planted: unit=MPa phases=70000,0.33,410000,0.19, whose Voigt-Reuss-Hill had a skill of -5,348,190."""
    write_shipped(tmp_path, targets=1000 * shipped().targets)
    in_mpa = (Phase(70_000, 0.33), Phase(410_000, 0.19))
    with pytest.raises(DataError, match=r"phases=70,0\.33,410,0\.19 would fit"):
        read_folder(tmp_path, "MPa", in_mpa)
    assert len(read_folder(tmp_path, "MPa", PHASES).images) == 60


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e17])
@pytest.mark.parametrize("phases", [None, PHASES])
def test_numpys_warnings_stay_inside(tmp_path, factor, phases):
    write_shipped(tmp_path, targets=factor * shipped().targets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert any(told(tmp_path, phases=phases))


@pytest.mark.parametrize("name", ["C44", "C55", "C66"])
def test_one_shear_of_another_notation_is_told_by_its_name(name):
    """Planted: with only C44 doubled, all three were said to be, in all rows."""
    constants = shipped().targets.copy()
    constants[:, TARGETS.index(name)] *= 2
    (said,), _ = judge(constants)
    assert f", where {name} looks doubled: " in said


@pytest.mark.parametrize("unit", ["kbar", "bar", "psi", "ksi", "Msi", "dyn/cm^2", "N/cm^2", "MPa"])
def test_labels_of_any_other_unit_are_recognised(unit):
    """Planted: labels in bar, read as GPa, were told to check rows and phases."""
    (said,), explained = judge(shipped().targets / gpa_per(unit))
    assert f"look like of two units: unit={unit} would fit" in said
    assert explained


@pytest.mark.parametrize("invert", [False, True])
def test_exchange_is_recognised_where_bounds_say_little_and_hill_much(invert):
    phases = (Phase(70, 0.1), Phase(75, 0.45))
    made = dataset.make(dataset.Parameters(count=60, size=16, phases=phases))
    fraction = made.images.mean(axis=(1, 2, 3))
    said, explained = judge(made.targets, 1 - fraction if invert else fraction, phases if invert else phases[::-1])
    assert explained
    assert "the phases look exchanged" in said[0]


def test_images_that_resampling_made_of_another_volume_fraction_are_recognised():
    """Planted: labels of finer images whose resampling moved the volume fraction were told to check rows."""
    said, _ = judge(shipped().targets, FRACTIONS - 0.03)
    assert "where a volume fraction 0.02 away would fit: resample finer images to nearest neighbours" in said[0]
