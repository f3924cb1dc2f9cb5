// Plain SVG charts: scales and ticks, points and lines. Sizes are in the chart's own units; it shrinks with the page.
"use strict";
const svg = (name, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

// See packed.py: two digits to the base 64 each, NaN for 4095.
const digits64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const number64 = (letters) => [...letters].reduce((sum, letter) => 64 * sum + digits64.indexOf(letter), 0);
const unpack = ([low, high, text]) =>
  Array.from({ length: text.length / 2 }, (_, i) => {
    const step = number64(text.slice(2 * i, 2 * i + 2));
    return step === 4095 ? NaN : low + (step / 4094) * (high - low);
  });

// See packed.py: three digits and a power of ten, NaN for the last step; `count` numbers from the `first` on.
const unpackDigits = (text, first, count) =>
  Array.from({ length: count }, (_, i) => {
    const step = number64(text.slice(3 * (first + i), 3 * (first + i + 1)));
    return step === 64 ** 3 - 1 ? NaN : +`${(step % 2000) - 1000}e${Math.floor(step / 2000) - 65}`;
  });

const short = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return size < 1e-3 ? value.toExponential(0).replace("e-", "e−") : String(+value.toPrecision(3));
};

const linear = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
const logarithmic = (low, high, from, to) => {
  const scale = linear(Math.log10(low), Math.log10(high), from, to);
  return (value) => scale(Math.log10(value));
};

const ticks = (low, high, count) => {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(tick);
  return found;
};
const decades = (low, high) => {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    const steps = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5];
    found.push(...steps.map((factor) => factor * 10 ** power));
  }
  return found.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
};

// An empty chart: a grid with labels, [position, text] each, and what its axes are.
const frame = (box, across, up, labels, told) => {
  const { width, height, left, right, top, bottom } = box;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told });
  for (const [x, text] of across) {
    chart.append(svg("path", { class: "g", d: `M${x} ${top}V${height - bottom}` }));
    chart.append(svg("text", { class: "t", x, y: height - bottom + 15, "text-anchor": "middle" }, text));
  }
  for (const [y, text] of up) {
    chart.append(svg("path", { class: "g", d: `M${left} ${y}H${width - right}` }));
    chart.append(svg("text", { class: "t", x: left - 6, y: y + 4, "text-anchor": "end" }, text));
  }
  chart.append(svg("text", { class: "t", x: left, y: top - 8 }, labels[1]));
  chart.append(svg("text", { class: "t", x: width - right, y: height - 4, "text-anchor": "end" }, labels[0]));
  return chart;
};

// A file of text that the reader keeps.
const save = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

const marks = { classical: "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0 -4.5 0Z", pytorch: "M-4-4H4V4H-4Z", keras: "M0-5L5 4H-5Z" };
const other = "M0-5.5L5.5 0L0 5.5L-5.5 0Z";

// Rows {name, backend, skill, cost, href} as points; those that no other beats in both cost and skill are named.
const scatter = (place, rows, label) => {
  const known = rows.filter((row) => row.cost !== null && row.skill !== null && Number.isFinite(row.skill));
  if (!known.length) {
    place.replaceChildren(document.createTextNode("This cost is not known for any row shown."));
    return;
  }
  const wide = Math.max(340, Math.min(1100, place.clientWidth || 900));
  const box = { width: wide, height: wide < 500 ? 380 : 460, left: 48, right: wide < 500 ? 24 : 130, top: 26, bottom: 40 };
  const positive = known.map((row) => row.cost).filter((cost) => cost > 0);
  const least = positive.length ? Math.min(...positive) : 1e-3;
  const most = Math.max(...positive, least * 10);
  const x = logarithmic(least / 1.5, most * 1.5, box.left, box.width - box.right);
  // What is left of the error, from the mean's downwards: 0.99 is as far from 0.9 as 0.9 from 0.
  const best = Math.min(...known.map((row) => 1 - row.skill).filter((left) => left > 0), 0.5);
  const y = logarithmic(Math.max(best / 1.6, 1e-9), 1.4, box.top, box.height - box.bottom);
  const left = (row) => Math.min(1.3, Math.max(1 - row.skill, best / 1.5));
  const levels = [1, 0.5, ...[1, 2, 3, 4, 5, 6].map((power) => 10 ** -power)].filter((level) => level > best / 1.6);
  const chart = frame(
    box,
    decades(least / 1.5, most * 1.5).map((tick) => [x(tick), short(tick)]),
    levels.map((level) => [y(level), String(+(1 - level).toFixed(6))]),
    [label, "skill (0: the mean)"],
    `Skill against ${label} of ${known.length} rows`,
  );
  const at = (row) => [x(Math.max(row.cost, least / 1.4)), y(left(row))];
  const front = [];
  for (const row of [...known].sort((a, b) => a.cost - b.cost || b.skill - a.skill)) {
    if (!front.length || row.skill > front[front.length - 1].skill) front.push(row);
  }
  const path = front.map((row, i) => (i ? `H${at(row)[0]}V${at(row)[1]}` : `M${at(row).join(" ")}`)).join("");
  chart.append(svg("path", { class: "front", d: path }));
  const point = (row, kind) =>
    svg("path", { class: kind, d: marks[row.backend] || other, transform: `translate(${at(row).join(" ")})` },
      svg("title", {}, `${row.name}, ${row.backend}: skill ${row.told}, ${label} ${short(row.cost)}`));
  for (const row of known) if (!front.includes(row)) chart.append(point(row, "grey"));
  const taken = [];
  for (const row of front) {
    chart.append(point(row, marks[row.backend] ? `f-${row.backend}` : "f-other"));
    let [tx, ty] = at(row);
    const end = tx > box.width - 130;
    // Two backends' points of one model lie side by side: one name is enough.
    if (taken.some(([ox, oy, name]) => name === row.name && Math.abs(ox - tx) < 60 && Math.abs(oy - ty) < 20)) continue;
    while (taken.some(([ox, oy]) => Math.abs(ox - tx) < 130 && Math.abs(oy - ty) < 14)) ty += 14;
    taken.push([tx, ty, row.name]);
    const name = svg("text", { x: tx + (end ? -9 : 9), y: ty - 6, "text-anchor": end ? "end" : "start" }, row.name);
    chart.append(svg("a", { href: row.href, "aria-label": `${row.name}, ${row.backend}` }, name));
  }
  chart.setAttribute("role", "group");
  place.replaceChildren(chart);
};

// Points of one target, true across and predicted up, both on one scale.
const parity = (truth, predicted, title, unit) => {
  const all = [...truth, ...predicted].filter(Number.isFinite);
  const [low, high] = [Math.min(...truth), Math.max(...truth)];
  const room = 0.08 * (high - low || 1);
  const box = { width: 250, height: 250, left: 46, right: 10, top: 26, bottom: 34 };
  const ends = [low - room, high + room];
  const x = linear(...ends, box.left, box.width - box.right);
  const y = linear(...ends, box.height - box.bottom, box.top);
  const outside = all.filter((value) => value < ends[0] || value > ends[1]).length;
  const chart = frame(
    box,
    ticks(...ends, 4).map((tick) => [x(tick), short(tick)]),
    ticks(...ends, 4).map((tick) => [y(tick), short(tick)]),
    [`true${unit && ` (${unit})`}`, `${title}: predicted${outside ? `, ${outside} outside` : ""}`],
    `${title}: predicted against true of ${truth.length} test images`,
  );
  chart.append(svg("path", { class: "front", d: `M${x(ends[0])} ${y(ends[0])}L${x(ends[1])} ${y(ends[1])}` }));
  const clip = (value) => Math.min(ends[1], Math.max(ends[0], value));
  const d = truth.map((value, i) => `M${x(value).toFixed(1)} ${y(clip(predicted[i])).toFixed(1)}h0`).join("");
  chart.append(svg("path", { class: "points", d }));
  return chart;
};

// Training and validation loss by epoch: a thin line for each seed, a thick one for their median.
const losses = (place, { epochs, seeds, ends, loss, validation_loss: validation }) => {
  const lines = Object.entries({ train: loss, valid: validation }).map(([kind, values]) => {
    const flat = unpack(values);
    return [kind, seeds.map((_, i) => flat.slice(i * epochs, (i + 1) * epochs))];
  });
  const all = lines.flatMap(([, series]) => series.flat()).filter(Number.isFinite);
  if (!all.length) return;
  const [low, high] = [10 ** Math.min(...all), 10 ** Math.max(...all)];
  const wide = Math.max(340, Math.min(860, place.clientWidth || 860));
  const box = { width: wide, height: 340, left: 52, right: 84, top: 26, bottom: 36 };
  const x = linear(1, Math.max(2, epochs), box.left, box.width - box.right);
  const y = logarithmic(low / 1.1, high * 1.1, box.height - box.bottom, box.top);
  const chart = frame(
    box,
    ticks(1, Math.max(2, epochs), 6).filter(Number.isInteger).map((tick) => [x(tick), String(tick)]),
    decades(low / 1.1, high * 1.1).map((tick) => [y(tick), short(tick)]),
    ["epoch", "loss"],
    `Training and validation loss over ${epochs} epochs, ${seeds.length} seed${seeds.length === 1 ? "" : "s"}`,
  );
  for (const end of ends) chart.append(svg("path", { class: "front", d: `M${x(end + 0.5)} ${box.top}V${box.height - box.bottom}` }));
  const draw = (series, kind, width, opacity) => {
    let d = "";
    series.forEach((value, i) => {
      if (Number.isFinite(value)) d += `${d && Number.isFinite(series[i - 1]) ? "L" : "M"}${x(i + 1).toFixed(1)} ${y(10 ** value).toFixed(1)}`;
    });
    chart.append(svg("path", { class: kind, d, "stroke-width": width, opacity }));
  };
  const labels = [];
  for (const [kind, series] of lines) {
    series.forEach((one) => draw(one, kind, 0.8, 0.55));
    const median = Array.from({ length: epochs }, (_, i) => {
      const sorted = series.map((one) => one[i]).sort((a, b) => a - b);
      const half = sorted.length >> 1;
      return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    });
    draw(median, kind, 2, 1);
    const last = median.findLast(Number.isFinite);
    if (last !== undefined) labels.push([y(10 ** last) + 4, kind]);
  }
  labels.sort((a, b) => a[0] - b[0]);
  if (labels.length === 2 && labels[1][0] - labels[0][0] < 14) labels[1][0] = labels[0][0] + 14;
  for (const [at, kind] of labels) {
    chart.append(svg("text", { class: kind, x: box.width - box.right + 6, y: at }, kind === "train" ? "training" : "validation"));
  }
  place.replaceChildren(chart);
};
