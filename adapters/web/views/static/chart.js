// What was spent per day, as bars in the page's own colours.

import { boot } from "./boot.js";
import { money } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_WIDTH = 720, LABEL_PX = 84, HEIGHT = 200, FOOT = 24, HEAD = 20;
const DAY_MS = 86_400_000;
const MOST_BARS = 400;

const draw = (tag, attributes, text = "") => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.textContent = text;
  return node;
};

/** The days from `first` to `last` (`2026-11-23`), also those without use; years by month. */
function bars({ days, first_day: first, last_day: last }) {
  const spent = new Map(days.map((day) => [day.key, day.charged_nanousd]));
  const start = Date.parse(first), count = Math.min(MOST_BARS, Math.round((Date.parse(last) - start) / DAY_MS) + 1);
  const all = Array.from({ length: count }, (_, at) => new Date(start + at * DAY_MS).toISOString().slice(0, 10)).map((day) => [day, spent.get(day) ?? 0]);
  if (count <= 62) return all;
  const months = new Map();
  for (const [day, sum] of all) months.set(day.slice(0, 7), (months.get(day.slice(0, 7)) ?? 0) + sum);
  return [...months];
}

/** What stands under a bar: a day without its year, or a month by its name. */
function dayNames(all) {
  const style = all[0][0].length > 7 ? { day: "numeric", month: "numeric" } : { month: "short" };
  const format = new Intl.DateTimeFormat(boot.locale, { ...style, timeZone: "UTC" });
  return (day) => format.format(new Date(day));
}

/** An SVG of the report; its numbers stand in the table beside it. */
export function chart(report) {
  const width = Math.min(MOST_WIDTH, document.documentElement.clientWidth - 60);
  const inside = (x) => Math.min(width - 30, Math.max(30, x));
  const all = bars(report), most = Math.max(...all.map(([, sum]) => sum), 1);
  const step = width / all.length, wide = Math.max(1, Math.min(48, step * 0.72));
  const svg = draw("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": report.card.pictures[0].alt });
  svg.append(draw("line", { x1: 0, x2: width, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT }));
  const named = dayNames(all);
  const labelled = Math.ceil(all.length / (width / LABEL_PX));
  all.forEach(([day, sum], at) => {
    const height = (sum / most) * (HEIGHT - FOOT - HEAD), x = at * step + (step - wide) / 2;
    const bar = draw("rect", { x, y: HEIGHT - FOOT - height, width: wide, height, rx: Math.min(5, wide / 3) });
    bar.append(draw("title", {}, `${day}: ${money(sum)}`));
    svg.append(bar);
    if (at % labelled === 0) svg.append(draw("text", { x: inside(at * step + step / 2), y: HEIGHT - 7, "text-anchor": "middle" }, named(day)));
    if (sum === most && sum > 0) svg.append(draw("text", { x: inside(at * step + step / 2), y: HEIGHT - FOOT - height - 6, "text-anchor": "middle", class: "top-value" }, money(sum)));
  });
  return svg;
}
