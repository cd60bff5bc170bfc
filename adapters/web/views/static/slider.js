// Before and after on top of each other. A real range input lies over the pictures: keyboard, touch and screen
// readers get it for nothing.

import { t } from "./boot.js";
import { el } from "./dom.js";
import { integer } from "./format.js";

const MAX_HEIGHT = "min(56vh, 620px)";

/** The figure for a finished job. `onGone` is called when the picture after cannot be loaded. */
export function slider(job, alt, onGone) {
  const { image, view_url, source_url } = job.result;
  const after = el("img", { class: "after", src: view_url, alt, loading: "lazy", decoding: "async", draggable: false });
  const before = el("img", { class: "before", src: source_url, alt: "", loading: "lazy", decoding: "async", draggable: false });
  const range = el("input", { type: "range", min: "0", max: "100", step: "1", value: "50", "aria-label": t("slider") });
  const box = el("div", { class: "slider" },
    after, before, el("span", { class: "edge" }),
    el("span", { class: "side left", "aria-hidden": "true" }, t("before")),
    el("span", { class: "side right", "aria-hidden": "true" }, t("after")),
    range);
  // Styles go through the CSSOM: the page's policy forbids style attributes.
  box.style.aspectRatio = `${image.width} / ${image.height}`;
  box.style.maxWidth = `min(100%, calc(${MAX_HEIGHT} * ${image.width / image.height}))`;
  const show = () => {
    const at = Number(range.value);
    box.style.setProperty("--at", `${at}%`);
    range.setAttribute("aria-valuetext", t("slider_value", { n: integer(100 - at) }));
    box.querySelector(".side.left").style.opacity = at < 14 ? "0" : "1";
    box.querySelector(".side.right").style.opacity = at > 86 ? "0" : "1";
  };
  range.addEventListener("input", show);
  range.addEventListener("keydown", (event) => {
    const steps = { PageUp: 25, PageDown: -25 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    range.value = String(Number(range.value) + steps[event.key]);
    show();
  });
  before.addEventListener("error", () => box.classList.add("single"), { once: true });
  after.addEventListener("error", onGone, { once: true });
  show();
  return el("figure", {}, box);
}
