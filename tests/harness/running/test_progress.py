import io

from harness.model.variants import Recipe
from harness.running.crew import Lost, Started
from harness.running.progress import Line, Progress
from harness.running.worker import Done, Epoch
from tests.harness.a_benchmark import SCRATCH
from tests.harness.examples import a_failure, a_record
from tests.harness.fake_worker import a_job


class Terminal(io.StringIO):
    def isatty(self):
        return True


def jobs(count):
    network = {"architecture": SCRATCH, "recipes": (Recipe(epochs=100),)}
    return [a_job("baseline", seed=seed, **network) for seed in range(count)]


def follow(stream, events, seconds_between=10.0):
    now = iter(range(10**6))
    progress = Progress(
        [job for job, message in events if isinstance(message, Done)], stream, lambda: seconds_between * next(now)
    )
    for event in events:
        progress.show(event)
    progress.close()
    return stream.getvalue()


def a_course(job):
    epochs = [Epoch(done, 100, done / 100, 1 / done, 2 / done) for done in (25, 50, 75, 100)]
    return [(job, message) for message in (Started(), *epochs, Done(a_record(job.cell)))]


def test_a_terminal_shows_epoch_loss_and_time_left(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    first, second = jobs(2)
    text = follow(Terminal(), [*a_course(first), *a_course(second)])
    assert "baseline on classical, seed 0: epoch 50/100 loss 0.02 val 0.04" in text
    assert "s left" in text or "min left" in text
    assert "1/2 cells" in text


def test_a_cell_that_was_lost_is_under_way_no_more():
    lost, other = jobs(2)
    again = [(lost, Started()), (lost, Done(a_record(lost.cell)))]
    events = [(lost, Started()), (lost, Epoch(50, 100, 0.5, 1.0, 1.0)), (lost, Lost()), *a_course(other), *again]
    shown = follow(Terminal(), events).split("\r")
    assert sum("seed 0: starting" in line for line in shown) == 2
    assert not any("seed 0" in line and "seed 1" in line for line in shown)


def test_elsewhere_lines_are_plain():
    text = follow(io.StringIO(), a_course(jobs(1)[0]))
    assert "\r" not in text
    assert "\033" not in text
    assert "[1/1] baseline on classical, seed 0" in text
    assert "ok in   1.5 s" in text


def test_elsewhere_a_long_cell_is_heard_of_now_and_then():
    events = a_course(jobs(1)[0])
    assert "epoch 75/100" in follow(io.StringIO(), events)
    assert "epoch" not in follow(io.StringIO(), events, seconds_between=0.1)


def test_time_left_is_the_share_of_work_to_come():
    first, second = jobs(2)
    progress = Progress([first, second], stream := io.StringIO(), iter([0.0, 10.0, 10.0, 10.0, 10.0]).__next__)
    progress.show((first, Done(a_record(first.cell))))
    assert "10 s left" in stream.getvalue()


def test_work_is_counted_once_for_each_job(monkeypatch):
    counted = []
    monkeypatch.setattr("harness.running.progress.work", lambda cell: counted.append(cell.seed) or 1.0)
    first, second = jobs(2)
    follow(Terminal(), [*a_course(first), *a_course(second)])
    assert counted == [0, 1]


def test_a_failure_is_told_with_reason_and_log():
    job = jobs(1)[0]
    text = follow(io.StringIO(), [(job, Started()), (job, Done(a_failure(job.cell)))])
    assert "failed: RuntimeError: the moon was full" in text


def test_a_line_takes_the_last_one_s_place_on_a_terminal():
    line = Line(stream := Terminal())
    line.show("1 of 2")
    line.show("2 of 2")
    line.clear()
    assert stream.getvalue() == "\r\033[K1 of 2\r\033[K2 of 2\r\033[K"


def test_elsewhere_it_is_written_every_half_minute():
    seconds = iter((0.0, 0.0, 10.0, 31.0, 31.0))
    line = Line(stream := io.StringIO(), lambda: next(seconds))
    for text in ("first", "too soon", "later"):
        line.show(text)
    line.clear()
    assert stream.getvalue() == "first\nlater\n"
