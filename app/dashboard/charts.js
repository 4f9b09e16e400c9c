// Charts as SVG made by code. Each has a sentence for people who listen, and the figures as a table.

import { h, s } from "./dom.js";
import { table } from "./parts.js";

const WIDTH = 440;
const HEIGHT = 140;
const INSET = { left: 52, right: 8, top: 10, bottom: 18 };
const RIGHT = WIDTH - INSET.right;
const BOTTOM = HEIGHT - INSET.bottom;
const TICKS = 3;

/** The smallest of 1, 2, 2.5, 5, 10, … times a power of ten that is no less than the value. */
export function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * 0.999) * power;
}

function frame(title, headline, said, drawing, figures, legend) {
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("span", {}, title), h("b", {}, headline)),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${said}` }, drawing),
    legend && h("p", { class: "legend" }, legend),
    h("details", { "data-key": `figures ${title}` }, h("summary", {}, "As a table"), table(`${title}, figures`, ...figures)),
  );
}

function scales(highest, from, to) {
  const top = roundUp(highest);
  return {
    top,
    x: (time) => INSET.left + (to > from ? (time - from) / (to - from) : 0.5) * (RIGHT - INSET.left),
    y: (value) => BOTTOM - (value / top) * (BOTTOM - INSET.top),
  };
}

function grid(scale, format) {
  return Array.from({ length: TICKS }, (_, index) => {
    const value = (scale.top * index) / (TICKS - 1);
    const y = scale.y(value);
    return [
      s("line", { class: "grid", x1: INSET.left, x2: RIGHT, y1: y, y2: y }),
      s("text", { class: "tick", x: INSET.left - 6, y: y + 3.5, "text-anchor": "end" }, format(value)),
    ];
  });
}

function ends(first, last) {
  return [
    s("text", { class: "tick", x: INSET.left, y: HEIGHT - 4 }, first),
    s("text", { class: "tick", x: RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, last),
  ];
}

/** Lines over the order of things: `series` is `[{name, points: [{at, value, label}]}]`, `at` their place in it. */
export function lineChart({ title, headline, said, series, format, ends: [first, last], figures }) {
  const points = series.flatMap((entry) => entry.points);
  const times = points.map((point) => point.at);
  const scale = scales(Math.max(...points.map((point) => point.value)), Math.min(...times), Math.max(...times));
  const drawing = [
    grid(scale, format),
    ends(first, last),
    series.map((entry, index) => [
      s("polyline", { class: `line series-${index}`, points: entry.points.map((point) => `${scale.x(point.at)},${scale.y(point.value)}`).join(" ") }),
      entry.points.map((point) => mark(index, scale.x(point.at), scale.y(point.value), point.label)),
    ]),
  ];
  const legend = series.length > 1 && series.map((entry, index) => h("span", { class: `key series-${index}` }, entry.name));
  return frame(title, headline, said, drawing, figures, legend);
}

function mark(series, x, y, label) {
  // Told apart by shape as well as by colour.
  const shape =
    series === 0
      ? s("circle", { class: "mark series-0", cx: x, cy: y, r: 3 })
      : s("rect", { class: `mark series-${series}`, x: x - 2.8, y: y - 2.8, width: 5.6, height: 5.6 });
  shape.append(s("title", {}, label));
  return shape;
}

/** Bars side by side: `bars` is `[{value, label, kind}]`. */
export function barChart({ title, headline, said, bars, format, ends: [first, last], figures }) {
  const scale = scales(Math.max(...bars.map((bar) => bar.value)), 0, bars.length);
  const width = Math.min(((RIGHT - INSET.left) / bars.length) * 0.72, 26);
  const drawing = [
    grid(scale, format),
    ends(first, last),
    bars.map((bar, index) => {
      const x = scale.x(index + 0.5) - width / 2;
      const y = scale.y(bar.value);
      return s("rect", { class: `column ${bar.kind ?? ""}`, x, y, width, height: Math.max(BOTTOM - y, 1), rx: 2 }, s("title", {}, bar.label));
    }),
  ];
  return frame(title, headline, said, drawing, figures);
}

/** What held from one time to the next, as an area: `points` is `[{at, value}]`. */
export function areaChart({ title, headline, said, points, format, ends: [first, last], figures }) {
  const to = points.at(-1).at;
  const scale = scales(Math.max(...points.map((point) => point.value)), points[0].at, to);
  const corners = points.flatMap((point, index) => [
    ...(index ? [`${scale.x(point.at)},${scale.y(points[index - 1].value)}`] : []),
    `${scale.x(point.at)},${scale.y(point.value)}`,
  ]);
  const drawing = [
    grid(scale, format),
    ends(first, last),
    s("polygon", { class: "area", points: [`${scale.x(points[0].at)},${BOTTOM}`, ...corners, `${scale.x(to)},${BOTTOM}`].join(" ") }),
    s("polyline", { class: "line series-0", points: corners.join(" ") }),
  ];
  return frame(title, headline, said, drawing, figures);
}

/** One block for each thing that went well or badly: `blocks` is `[{good, label}]`. */
export function outcomeChart({ title, headline, said, blocks, ends: [first, last], figures }) {
  const step = (RIGHT - 8) / blocks.length;
  const width = Math.min(step * 0.72, 26);
  const drawing = [
    blocks.map((block, index) => {
      const height = block.good ? BOTTOM - INSET.top - 30 : BOTTOM - INSET.top;
      return s(
        "rect",
        { class: `column ${block.good ? "good" : "bad"}`, x: 8 + (index + 0.5) * step - width / 2, y: BOTTOM - height, width, height, rx: 2 },
        s("title", {}, block.label),
      );
    }),
    s("text", { class: "tick", x: 8, y: HEIGHT - 4 }, first),
    s("text", { class: "tick", x: RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, last),
  ];
  const legend = [h("span", { class: "key good" }, "Succeeded"), h("span", { class: "key bad" }, "Failed (taller)")];
  return frame(title, headline, said, drawing, figures, legend);
}
