// The page of one row: its charts, and its numbers as a file.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const test = document.getElementById("test");
  const points = (name) => {
    const of = truths[data.truth][name];
    const { points: [every, also], columns } = data.predictions[name];
    const places = [...Array(of.images).keys()].filter((place) => place % every === 0 || also.includes(place));
    const truth = of.truth.map(unpack).map((values) => places.map((place) => values[place]));
    const predicted = columns.map(unpack);
    return of.targets.map((target, i) => ({ target, unit: of.units[i], places, truth: truth[i], predicted: predicted[i] }));
  };
  const show = () => {
    const panels = points(test.value).map((one) => parity(one.truth, one.predicted, one.target, one.unit));
    document.getElementById("parity").replaceChildren(...panels);
  };
  if (test) {
    const asked = new URLSearchParams(location.hash.slice(1)).get("test");
    if ([...test.options].some((option) => option.value === asked)) test.value = asked;
    test.addEventListener("change", () => {
      history.replaceState(null, "", `#${new URLSearchParams({ test: test.value })}`);
      show();
    });
    show();
  }
  const drawn = document.getElementById("losses");
  if (drawn) losses(drawn, data.losses);

  // Truth and prediction beside the worst images, which are of the first test.
  for (const caption of document.querySelectorAll("[data-place]")) {
    const table = document.createElement("table");
    table.className = "num";
    table.createTHead().insertRow().innerHTML = '<th scope="col">target<th scope="col">true<th scope="col">predicted';
    const body = table.createTBody();
    for (const one of points(test.options[0].value)) {
      const line = body.insertRow();
      const target = document.createElement("th");
      target.scope = "row";
      target.textContent = `${one.target}${one.unit && ` (${one.unit})`}`;
      line.append(target);
      const at = one.places.indexOf(+caption.dataset.place);
      for (const values of [one.truth, one.predicted]) line.insertCell().textContent = short(values[at]);
    }
    caption.append(table);
  }

  document.getElementById("save")?.addEventListener("click", () => {
    const tests = data.truth ? Object.fromEntries(Object.keys(data.predictions).map((name) => [name, points(name)])) : {};
    const epochs = (packed) => {
      const flat = unpack(packed).map((value) => 10 ** value);
      return data.losses.seeds.map((_, i) => flat.slice(i * data.losses.epochs, (i + 1) * data.losses.epochs));
    };
    const went = data.losses.seeds
      ? { seeds: data.losses.seeds, training: epochs(data.losses.loss), validation: epochs(data.losses.validation_loss) }
      : {};
    const digits = (key, value) => (typeof value === "number" ? +value.toPrecision(5) : value);
    const note = "points to a 4094th of their range, losses of its logarithm; the record has all digits";
    save(`${data.id}.json`, "application/json", JSON.stringify({ note, tests, losses: went }, digits, 1));
  });
})();
