from suites.microstructure.findings import Spot, few, gather, of_images, of_rows, runs


def test_numbers_are_joined_and_cut_short():
    assert runs([3, 4, 5, 9, 4]) == "3-5, 9"
    assert runs(range(0, 200, 2)) == "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22 and 88 more"
    assert runs([*range(0, 24, 2), *range(100, 150)]).endswith("20, 22 and 50 more")


def test_three_of_many_names_are_told():
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few([str(number) for number in range(100)]) == "0, 1, 2 and 97 more"


def test_one_place_is_told_where_it_is():
    (row,) = gather([Spot(6, "C22 is not a number", "write points", "'1,5'")], of_rows("labels.csv"))
    assert (row.where, row.what) == ("labels.csv, row 7", "C22 is not a number ('1,5'): write points")
    (image,) = gather([Spot(0, "zero bytes")], of_images(["3_x.png"]), "warning")
    assert (image.severity, image.where, image.what) == ("warning", "3_x.png", "zero bytes")


def test_of_many_places_the_remedy_comes_first_then_their_number_then_some():
    spots = [Spot(place, "not two-valued", "threshold it", f"{place} %", place) for place in range(100)]
    (finding,) = gather(spots, of_images([f"{place}.png" for place in range(100)]))
    assert finding.where == "images"
    assert finding.what == "not two-valued: threshold it; 100 images: 0.png, 1.png, 2.png and 97 more (99.png: 99 %)"


def test_places_may_be_rows_of_other_numbers():
    (finding,) = gather([Spot(0, "is odd"), Spot(1, "is odd")], of_rows("labels.csv", [41, 7]))
    assert finding.what == "is odd; 2 rows: 8, 42"
