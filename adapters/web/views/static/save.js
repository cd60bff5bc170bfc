// Taking a result away: as another format, or as a picture on the clipboard.

import { t } from "./boot.js";
import { announce, button, el } from "./dom.js";
import { decimal } from "./format.js";

const QUALITY = 90;

/** A small form that downloads the result as PNG, JPEG or WebP; the server converts it. */
export function saveAsView(job) {
  const { image, saved_formats: formats } = job.result;
  const name = `as-${job.job_id}`;
  const quality = el("input", { type: "range", min: "30", max: "100", step: "1", value: String(QUALITY), id: `${name}-quality`, oninput: () => show() });
  const told = el("output", { for: quality.id });
  const knob = el("div", { class: "control quality" }, el("div", { class: "head" }, el("label", { for: quality.id }, t("quality")), told), quality);
  const save = el("a", { class: "button primary", download: "" }, t("save"));
  const radios = formats.map((format) => el("input", { type: "radio", name, value: format, checked: image.content_type === `image/${format}`, onchange: () => show() }));
  const show = () => {
    const format = radios.find((radio) => radio.checked)?.value ?? formats[0];
    knob.hidden = format === "png";
    told.textContent = decimal(Number(quality.value));
    save.href = `${image.url}?as=${format}${format === "png" ? "" : `&quality=${quality.value}`}&download=1`;
  };
  show();
  return el("form", { class: "save-as", hidden: true, onsubmit: (event) => { event.preventDefault(); save.click(); } },
    el("fieldset", { class: "control" }, el("legend", {}, t("format")),
      el("div", { class: "segments" }, radios.map((radio) => el("label", {}, radio, el("span", {}, radio.value === "webp" ? "WebP" : radio.value.toUpperCase()))))),
    knob, save);
}

/** A button that puts the result on the clipboard; of a large one the reduced picture. Absent where browsers forbid it. */
export function copyButton(viewer, problem) {
  if (!navigator.clipboard?.write) return null;
  const copy = button(t("copy_image"), "copy", async () => {
    const { image } = viewer.after;
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": asPng(image) })]);
      announce(t("copied"));
      copy.querySelector("span").textContent = t("copied");
      setTimeout(() => { copy.querySelector("span").textContent = t("copy_image"); }, 2000);
    } catch {
      problem.textContent = t("copy_failed");
      problem.hidden = false;
    }
  }, { class: "later" });
  return copy;
}

async function asPng(image) {
  await image.decode();
  const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return new Promise((done, fail) => { canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("no picture"))), "image/png"); });
}
