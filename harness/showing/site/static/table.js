// The leaderboard: sorting, filters, columns, a baseline. All of it is in the address behind the #.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("board");
  const body = table.tBodies[0];
  const head = table.tHead.rows[0];
  const find = document.getElementById("find");
  const costOf = document.getElementById("cost-of");
  const facets = [...document.querySelectorAll("[data-facet]")];
  const boxes = [...document.querySelectorAll("[data-column]")];
  const status = document.getElementById("status");

  // See packed.py: heading, texts, and which of them each row has.
  const count = body.rows.length;
  const cells = ([, texts, places]) => {
    const [known, each] = [texts.split("\n"), places.length / count];
    const place = (i) => (places ? number64(places.slice(each * i, each * (i + 1))) : i % known.length);
    return Array.from({ length: count }, (_, i) => known[place(i)]);
  };
  const names = data.columns.map(([name]) => name);
  const columns = data.columns.map(cells);
  const lines = Array.from({ length: count }, (_, i) => columns.map((column) => column[i]));
  const numeric = new Set(names.filter((_, i) => lines.every((line) => line[i] === "" || Number.isFinite(+line[i]))));
  const options = (name) => [...facets.find((one) => one.dataset.facet === name).options].slice(1).map((one) => one.value);
  const rows = [...body.rows].map((element, i) => {
    const values = Object.fromEntries(names.map((name, j) => [name, lines[i][j]]));
    return {
      id: element.id,
      index: i,
      element,
      values,
      name: values.variant,
      backend: values.backend,
      rank: parseInt(element.cells[0].textContent, 10) || null,
      skill: values.skill === "" ? null : +values.skill,
      told: element.querySelector(".skill").textContent.trim(),
      text: element.textContent.toLowerCase(),
      facets: Object.fromEntries(Object.entries(data.facets).map(([name, of]) => [name, options(name)[of[i]]])),
    };
  });
  const number = (row, key) => (row.values[key] === "" || row.values[key] === undefined ? null : +row.values[key]);

  // --- what the address says --------------------------------------------------------------------------------------

  const first = boxes.filter((box) => box.defaultChecked).map((box) => box.dataset.column);
  const state = {};
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    state.sort = asked.get("sort") || "-skill";
    state.find = asked.get("find") || "";
    state.base = rows.some((row) => row.id === asked.get("base")) ? asked.get("base") : "";
    state.columns = asked.has("columns") ? asked.get("columns").split(",").filter((key) => names.includes(key)) : first;
    const costs = [...costOf.options].map((option) => option.value);
    state.cost = costs.includes(asked.get("cost")) ? asked.get("cost") : costs[0];
    state.facets = Object.fromEntries(facets.map((one) => [one.dataset.facet, asked.get(one.dataset.facet) || ""]));
  };
  const write = () => {
    const told = new URLSearchParams();
    if (state.sort !== "-skill") told.set("sort", state.sort);
    if (state.find) told.set("find", state.find);
    if (state.base) told.set("base", state.base);
    if (state.columns.join() !== first.join()) told.set("columns", state.columns.join(","));
    if (state.cost !== costOf.options[0].value) told.set("cost", state.cost);
    for (const [name, value] of Object.entries(state.facets)) if (value) told.set(name, value);
    history.replaceState(null, "", told.size ? `#${told}` : location.href.split("#")[0]);
  };

  // --- differences to the baseline ------------------------------------------------------------------------------

  // `data.ends` has, for each row, low and high of its skill over every later row; earlier ones are the other way round.
  const over = (row, base) => {
    if (row === base) return null;
    const [better, worse] = row.index < base.index ? [row, base] : [base, row];
    const ends = unpackDigits(data.ends[better.index], 2 * (worse.index - better.index - 1), 2);
    if (Number.isNaN(ends[0]) || row.skill === null || base.skill === null) return null;
    const [low, high] = row === better ? ends : [-ends[1], -ends[0]];
    return { value: row.skill - base.skill, low, high };
  };
  const judged = ({ low, high }) => (low > 0 ? "better" : high < 0 ? "worse" : "same");
  const said = { better: "better", worse: "worse", same: "not told apart" };
  const signed = (value, digits) => {
    const text = Math.abs(value).toFixed(digits);
    return `${+text === 0 ? "" : value < 0 ? "−" : "+"}${text}`;
  };
  const told = (found) => {
    const half = (found.high - found.low) / 2;
    const power = Math.floor(Math.log10(half));
    const digits = half > 0 ? Math.min(6, Math.max(0, (half / 10 ** power <= 3.54) - power)) : 3;
    return `${signed(found.value, digits)} (${signed(found.low, digits)} to ${signed(found.high, digits)})`;
  };

  // --- columns --------------------------------------------------------------------------------------------------

  const place = () => Object.fromEntries([...head.cells].map((cell, i) => [cell.dataset.key, i]));
  const plain = (key, text) =>
    numeric.has(key) && text !== "" && !Number.isInteger(+text) ? String(+(+text).toPrecision(3)) : text;
  const addColumn = (key) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.dataset.key = key;
    if (numeric.has(key)) cell.className = "n";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = boxes.find((box) => box.dataset.column === key).parentElement.textContent.trim();
    cell.append(button);
    head.append(cell);
    for (const row of rows) {
      const added = row.element.insertCell();
      added.textContent = plain(key, row.values[key]);
      if (numeric.has(key)) added.className = "n";
    }
  };
  const showColumns = () => {
    const known = place();
    for (const key of state.columns) if (!(key in known)) addColumn(key);
    [...head.cells].forEach((cell, i) => {
      const { key } = cell.dataset;
      const fixed = !key || key === "rank" || key === "variant";
      const shown = fixed || (key === "difference" ? Boolean(state.base) : state.columns.includes(key));
      cell.hidden = !shown;
      for (const row of rows) row.element.cells[i].hidden = !shown;
    });
  };

  // --- rows -----------------------------------------------------------------------------------------------------

  const visible = () => {
    const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    return rows.filter(
      (row) =>
        words.every((word) => row.text.includes(word)) &&
        Object.entries(state.facets).every(([name, value]) => !value || row.facets[name] === value),
    );
  };
  const value = (row, key, base) => {
    if (key === "rank") return row.rank;
    if (key === "difference") return base && over(row, base) ? row.skill - base.skill : null;
    return numeric.has(key) ? number(row, key) : row.values[key] || null;
  };
  const sorted = (shown, base) => {
    const down = state.sort.startsWith("-");
    const key = state.sort.replace(/^-/, "");
    const of = new Map(shown.map((row) => [row, value(row, key, base)]));
    return [...shown].sort((a, b) => {
      const [x, y] = [of.get(a), of.get(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
      const order = typeof x === "string" ? x.localeCompare(y) : x - y;
      return (down ? -order : order) || a.index - b.index;
    });
  };

  // Always answering the mean, as a line between those who are better and those who are worse.
  const rule = document.createElement("tr");
  rule.className = "rule";
  const putRule = (order) => {
    rule.remove();
    const key = state.sort.replace(/^-/, "");
    const error = key.match(/^(rmse|mse)(?=_|$)(?!.*_sd)/);
    if ((key !== "skill" && !error) || key.startsWith("mse_of_mean") || !order.length) return;
    const means = new Set(order.map((row) => row.values[data.mse_of_mean]).filter(Boolean));
    const mean = means.size === 1 ? +[...means][0] : null;
    if (error && mean === null) return;
    const level = key === "skill" ? 0 : error[1] === "mse" ? mean : Math.sqrt(mean);
    const down = state.sort.startsWith("-");
    const after = order.filter((row) => {
      const at = number(row, key);
      return at !== null && (down ? at > level + 1e-6 : at < level * (1 - 1e-6));
    });
    const cell = document.createElement("td");
    cell.colSpan = head.cells.length;
    const words = document.createElement("span");
    words.textContent = `always answering the mean of the training labels: skill 0${mean === null ? "" : `, RMSE ${+Math.sqrt(mean).toPrecision(3)} ${data.unit}`}`;
    cell.append(words);
    rule.replaceChildren(cell);
    const next = after.length ? after[after.length - 1].element.nextSibling : body.firstChild;
    body.insertBefore(rule, next);
  };

  const show = () => {
    const base = rows.find((row) => row.id === state.base) || null;
    showColumns();
    const order = sorted(visible(), base);
    const shown = new Set(order);
    const held = document.activeElement; // which loses the focus where its row is moved
    body.append(...order.map((row) => row.element));
    if (body.contains(held)) held.focus({ preventScroll: true });
    const at = place().difference;
    for (const row of rows) {
      row.element.hidden = !shown.has(row);
      const found = base ? over(row, base) : null;
      row.element.classList.remove("better", "worse", "same", "base");
      if (row === base) row.element.classList.add("base");
      if (found) row.element.classList.add(judged(found));
      const cell = row.element.cells[at];
      cell.textContent = row === base ? "the base" : found ? `${said[judged(found)]}: ${told(found)}` : base ? "other images" : "";
      row.element.querySelector("input[name=base]").checked = row === base;
    }
    putRule(order);
    for (const cell of head.cells) {
      const key = state.sort.replace(/^-/, "");
      if (cell.dataset.key === key) cell.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    find.value = state.find;
    for (const one of facets) one.value = state.facets[one.dataset.facet];
    for (const box of boxes) box.checked = state.columns.includes(box.dataset.column);
    for (const all of document.querySelectorAll("[data-all]")) {
      const mine = [...all.closest("fieldset").querySelectorAll("[data-column]")];
      all.checked = mine.every((box) => box.checked);
      all.indeterminate = !all.checked && mine.some((box) => box.checked);
    }
    costOf.value = state.cost;
    status.textContent = `${order.length} of ${rows.length} rows${base ? `; compared with ${base.name}, ${base.backend}, on the same test images (95 % intervals)` : ""}.`;
    scatter(
      document.getElementById("scatter"),
      order.map((row) => ({
        name: row.name, backend: row.backend, skill: row.skill, told: row.told, href: `${row.id}.html`,
        cost: state.cost === "seconds"
          ? (number(row, "train_seconds") === null ? null : number(row, "train_seconds") + (number(row, "search_seconds") || 0))
          : number(row, state.cost),
      })),
      costOf.selectedOptions[0].textContent,
    );
  };
  const change = () => { write(); show(); };

  // --- what the reader does -------------------------------------------------------------------------------------

  head.addEventListener("click", (event) => {
    const cell = event.target.closest("button") && event.target.closest("th");
    if (!cell) return;
    const { key } = cell.dataset;
    const down = data.better[key] === "higher" || key === "difference";
    const [one, two] = down ? [`-${key}`, key] : [key, `-${key}`];
    state.sort = state.sort === one ? two : one;
    change();
  });
  find.addEventListener("input", () => { state.find = find.value; change(); });
  for (const one of facets) one.addEventListener("change", () => { state.facets[one.dataset.facet] = one.value; change(); });
  costOf.addEventListener("change", () => { state.cost = costOf.value; change(); });
  const choose = () => {
    state.columns = boxes.filter((box) => box.checked).map((box) => box.dataset.column);
    change();
  };
  for (const box of boxes) box.addEventListener("change", choose);
  for (const all of document.querySelectorAll("[data-all]")) {
    all.addEventListener("change", () => {
      for (const box of all.closest("fieldset").querySelectorAll("[data-column]")) box.checked = all.checked;
      choose();
    });
  }
  body.addEventListener("change", (event) => {
    if (event.target.name === "base") { state.base = event.target.closest("tr").id; change(); }
  });
  document.getElementById("reset").addEventListener("click", () => {
    history.replaceState(null, "", location.href.split("#")[0]);
    read();
    show();
  });
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("download").addEventListener("click", (event) => {
    event.preventDefault();
    const quoted = (cell) => (/[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    const csv = [names, ...lines].map((line) => `${line.map(quoted).join(",")}\n`).join("");
    save(`${data.suite}.csv`, "text/csv", csv);
  });
  addEventListener("hashchange", () => { read(); show(); });
  read();
  show();
})();
