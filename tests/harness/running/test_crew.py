import threading

import pytest

from harness.model.variants import Recipe
from harness.running.crew import MOST_LOSSES, Crew, Lost, LostHand, Started
from harness.running.worker import Done, Epoch
from tests.harness.a_benchmark import SCRATCH
from tests.harness.examples import a_record
from tests.harness.fake_worker import a_job

WAIT = 60  # seconds, for what another thread does at once


def of_epochs(epochs, seed=0, backend="classical"):
    return a_job(backend=backend, seed=seed, architecture=SCRATCH, recipes=(Recipe(epochs),))


class Hand:
    """Is lost over the cells of some seeds."""

    def __init__(self, lost_over=()):
        self.lost_over, self.killed, self.backend = lost_over, False, ""

    def do(self, job, tell):
        tell(Epoch(1, 1, 1.0, 0.5, 0.5))
        if job.cell.seed in self.lost_over:
            raise LostHand("the host is gone")
        return Done(a_record(job.cell))

    def kill(self):
        self.killed = True


def serve(crew, *hands):
    """One after the other, in this thread; then all that happened."""
    for hand in hands:
        crew.serve(hand)
    return list(crew.follow())


def test_a_job_is_started_makes_progress_and_ends():
    hand = Hand()
    events = serve(Crew([a_job()]), hand)
    assert [type(message) for _, message in events] == [Started, Epoch, Done]
    assert not hand.killed


def test_what_a_lost_hand_had_is_done_by_another():
    jobs = [a_job(seed=seed) for seed in range(4)]
    events = serve(Crew(jobs), Hand(lost_over=(1,)), Hand())
    done = [(job.cell.seed, message.record.status) for job, message in events if isinstance(message, Done)]
    assert sorted(done) == [(seed, "ok") for seed in range(4)]
    assert sum(isinstance(message, Started) for _, message in events) == 5
    of_lost = [type(message) for job, message in events if job.cell.seed == 1]
    assert of_lost == [Started, Epoch, Lost, Started, Epoch, Done]


def test_a_cell_over_which_all_are_lost_fails_and_the_others_go_on():
    jobs = [a_job(seed=seed) for seed in range(3)]
    events = serve(Crew(jobs), *(Hand(lost_over=(0,)) for _ in range(MOST_LOSSES)), Hand())
    records = {job.cell.seed: message.record for job, message in events if isinstance(message, Done)}
    assert records[0].status == "failed"
    assert records[0].reason == "3 workers were lost over it, the last one because the host is gone"
    assert records[1].status == records[2].status == "ok"


def test_the_longest_comes_first_and_equals_in_their_order():
    crew = Crew([of_epochs(epochs, seed) for seed, epochs in enumerate((3, 9, 3, 9))])
    taken = [crew.take("") for _ in range(4)]
    assert [job.cell.seed for job in taken] == [1, 3, 0, 2]
    assert crew.take("classical") is None


def test_a_hand_stays_with_its_backend_as_long_as_it_can():
    crew = Crew([of_epochs(9, 0, "keras"), of_epochs(1, 1, "pytorch"), of_epochs(2, 2, "pytorch")])
    assert crew.take("pytorch").cell.seed == 2
    assert crew.take("pytorch").cell.seed == 1
    assert crew.take("pytorch").cell.backend == "keras"


def test_hands_go_where_the_most_work_is_for_each():
    crew = Crew([of_epochs(8, seed, name) for name, count in (("keras", 3), ("pytorch", 2)) for seed in range(count)])
    assert [crew.take("").cell.backend for _ in range(3)] == ["keras", "pytorch", "keras"]


def test_a_hand_begins_with_the_backend_that_it_has():
    crew, hand = Crew([of_epochs(9, 0, "keras"), of_epochs(1, 1, "pytorch")]), Hand()
    hand.backend = "pytorch"
    started = [job.cell.backend for job, message in serve(crew, hand) if isinstance(message, Started)]
    assert started == ["pytorch", "keras"]


def test_a_hand_that_comes_with_a_backend_counts_among_those_of_it():
    jobs = [of_epochs(9, 0, "keras"), of_epochs(8, 1, "keras"), of_epochs(7, 2, "pytorch")]
    crew, hand, others = Crew(jobs), Hand(), []

    def do(job, tell):
        others.append(crew.take(""))
        return Done(a_record(job.cell))

    hand.backend, hand.do = "keras", do
    crew.serve(hand)
    assert others[0].cell.backend == "pytorch"  # of keras there is more, for two


def test_whoever_listens_no_longer_kills_the_hands_and_no_job_is_given_out():
    crew, hand, under_way = Crew([a_job(seed=0), a_job(seed=1)]), Hand(), threading.Event()
    over = threading.Event()

    def do(job, tell):
        under_way.set()
        over.wait(WAIT)
        raise LostHand("it was killed")

    hand.do, hand.kill = do, over.set
    thread = threading.Thread(target=crew.serve, args=(hand,), daemon=True)
    thread.start()
    assert under_way.wait(WAIT)
    events = crew.follow()
    next(events)
    events.close()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert crew.take("") is None


def test_a_fault_of_a_hand_is_raised():
    hand = Hand()
    hand.do = lambda job, tell: 1 / 0
    with pytest.raises(ZeroDivisionError):
        serve(Crew([a_job()]), hand)
