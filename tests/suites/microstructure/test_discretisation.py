from suites.microstructure.dataset import Parameters
from suites.microstructure.discretisation import label_errors


def test_labels_come_nearer_to_those_of_a_finer_solver():
    one, two, three = (label_errors(Parameters(samples=each), count=3, samples=3) for each in (1, 2, 3))
    assert one.rms > two.rms > three.rms == 0
    assert one.mean < one.largest < 0.1
