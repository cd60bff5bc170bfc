// The operator's page, asked anew every few seconds while somebody looks at it.

import { t } from "./boot.js";
import { attempt, call } from "./api.js";
import { announce, button, byId, confirmDialog, el } from "./dom.js";
import { body } from "./draw.js";
import { absolute, integer } from "./format.js";

const EVERY_MS = 3000;
let paused = false;

const fill = (id, selector, ...children) => byId(id).querySelector(selector).replaceChildren(...children.flat(Infinity).filter(Boolean));

async function act(work) {
  byId("problem").hidden = true;
  await attempt(work(), ({ message }) => Object.assign(byId("problem"), { textContent: message, hidden: false }));
  await refresh();
}

function tile(name, value, note = "", bad = false) {
  return el("div", { class: bad ? "bad" : "" }, el("dt", {}, name), el("dd", {}, value, note ? el("p", { class: "fine" }, note) : null));
}

function table(heads, rows) {
  return el("table", {}, el("thead", {}, el("tr", {}, heads.map(([name, kind]) => el("th", { scope: "col", class: kind ?? "" }, name)))), el("tbody", {}, rows));
}

function jobRow(job, end) {
  return el("tr", { "data-state": job.state, "data-job": job.job_id },
    el("td", {}, el("span", { class: "state" }, job.state_text)),
    el("td", {}, el("b", {}, job.who), el("p", { class: "fine" }, [job.platform, job.place].filter(Boolean).join(" "))),
    el("td", {}, job.size, el("p", { class: "fine" }, el("code", {}, job.job_id))), el("td", { class: "number" }, job.price),
    el("td", { class: "why" }, job.why), el("td", {}, absolute(job.created_at)), end ? el("td", {}, end) : null);
}

const HEADS = [[t("o_state")], [t("o_who")], [t("o_image")], [t("o_price"), "number"], [t("o_why")], [t("o_when")]];

function cancelButton(job) {
  if (!job.can_cancel) return el("span");
  return button(t("cancel"), null, () => act(() => call("POST", `/api/jobs/${job.job_id}/cancel`)), { "aria-label": `${t("cancel")}: ${job.job_id}` });
}

function placeRow(place) {
  const decide = (verdict) => () => act(async () => {
    await call("POST", `/api/operator/places/${place.reference}`, { verdict });
    announce(t("o_decided"));
  });
  const name = place.name || place.address;
  const asks = place.state === "asked";
  return el("li", { "data-state": place.state },
    el("div", { class: "grow" }, el("b", {}, name), " ", el("code", {}, place.address), el("p", { class: "fine" }, place.state_text, place.by ? ` · ${place.by}` : "", place.at ? ` · ${absolute(place.at)}` : "")),
    place.state === "admitted" ? null : button(t("o_admit"), "check", decide("admit"), { class: asks ? "primary" : "", "aria-label": `${t("o_admit")}: ${name}` }),
    place.state === "refused" ? null : button(t("o_refuse"), "close", decide("refuse"), { "aria-label": `${t("o_refuse")}: ${name}` }),
    asks ? null : button(t("o_revoke"), "again", decide("revoke"), { class: "quiet", "aria-label": `${t("o_revoke")}: ${name}` }));
}

function draw(told, health) {
  paused = told.paused;
  byId("play-money").hidden = !told.play_money;
  byId("pause").hidden = false;
  byId("pause").className = paused ? "primary" : "danger";
  byId("pause").textContent = paused ? t("o_resume") : t("o_pause");
  const running = told.open.jobs.filter((job) => job.state === "running").length;
  const ill = Object.entries(health.checks).filter(([, word]) => word !== "ok");
  byId("tiles").replaceChildren(
    tile(t("o_today"), told.today.charged, told.today.note), tile(t("o_month"), told.month.charged, told.month.images),
    tile(t("o_under_way"), integer(told.open.total), t("o_running", { n: integer(running) })),
    tile(t("o_health"), ill.length || !health.ready ? t("o_ill") : "OK", Object.entries(health.checks).map(([name, word]) => `${name}: ${word}`).join(" · "), ill.length > 0 || !health.ready));
  byId("places").hidden = told.places.length === 0;
  fill("places", "ul", told.places.map(placeRow));
  fill("open", "div", told.open.jobs.length ? table([...HEADS, [""]], told.open.jobs.map((job) => jobRow(job, cancelButton(job)))) : el("p", { class: "fine" }, t("o_nothing")),
    told.open.total > told.open.jobs.length ? el("p", { class: "fine" }, `+ ${integer(told.open.total - told.open.jobs.length)}`) : null);
  fill("recent", "div", told.recent.length ? table(HEADS, told.recent.map((job) => jobRow(job))) : el("p", { class: "fine" }, t("o_none")));
  fill("budgets", "div", body(told.budgets));
  fill("members", "div", told.month.members.length ? table([[t("o_who")], [t("charged"), "number"], [t("images"), "number"]], told.month.members.map((member) => el("tr", {},
    el("td", {}, el("b", {}, member.name), el("p", { class: "fine" }, member.key)), el("td", { class: "number" }, member.charged), el("td", { class: "number" }, integer(member.jobs))))) : el("p", { class: "fine" }, t("o_none")));
}

let last = "";

async function refresh() {
  try {
    const [told, health] = await Promise.all([call("GET", "/api/operator"), fetch("/readyz").then((answer) => answer.json())]);
    byId("offline").hidden = true;
    const now = JSON.stringify([{ ...told, now: 0 }, health]);
    if (now === last || document.querySelector("dialog[open]")) return; // what has not changed keeps its focus and selection
    const focused = document.activeElement?.getAttribute?.("aria-label");
    last = now;
    draw(told, health);
    if (focused) document.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  } catch {
    byId("offline").hidden = false;
  }
}

byId("pause").addEventListener("click", async () => {
  if (!paused && !(await confirmDialog({ title: t("o_pause"), text: t("o_pause_lead"), yes: t("o_pause"), no: t("cancel") }))) return;
  await act(() => call("POST", "/api/pause", { paused: !paused }));
});
setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
await refresh();
document.documentElement.dataset.ready = "true";
