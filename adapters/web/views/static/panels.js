// Typed commands other than /upscale: each answers with a panel in the conversation.

import { boot, t } from "./boot.js";
import { call } from "./api.js";
import { chart } from "./chart.js";
import { button, confirmDialog, el, icon } from "./dom.js";
import { dateTime, decimal, integer } from "./format.js";

const PERIODS = ["day", "week", "month", "year"];
const COMMANDS = [
  ["/upscale 3x creativity=0.5", "help_upscale"], ["/usage 2026-11", "help_usage"],
  ["/quota", "help_quota"], ["/history", "help_history"],
  ["/settings save 3x", "help_settings"], ["/privacy", "help_privacy"],
];

/** The panel for a command line, or null where there is no such command. Throws Refused. */
export async function panelFor(line, page) {
  const [command, ...rest] = line.split(/\s+/);
  const makers = { "/usage": usage, "/quota": quota, "/history": history, "/help": help, "/settings": settings, "/privacy": privacy };
  const maker = makers[command.toLowerCase()];
  if (!maker) return null;
  const card = el("article", { class: "card panel", tabIndex: -1 });
  const show = (...children) => card.replaceChildren(...children.flat().filter(Boolean));
  await maker(rest, show, page);
  return card;
}

const playBadge = (play) => (play ? el("span", { class: "badge play" }, t("play_money")) : null);

async function usage(words, show) {
  const period = words.join(" ") || "month";
  const report = await call("GET", `/api/usage?period=${encodeURIComponent(period)}`);
  const tabs = el("div", { class: "tabs" }, PERIODS.map((name) =>
    el("button", { type: "button", "aria-pressed": String(name === period), onclick: () => usage([name], show) }, t(`p_${name}`))),
  el("input", { type: "month", "aria-label": t("usage_month"), value: /^\d{4}-\d{2}$/.test(period) ? period : "", max: new Date().toISOString().slice(0, 7), onchange: (event) => { if (event.target.value && event.target.validity.valid) usage([event.target.value], show); } }));
  const days = report.days.filter((day) => day.jobs > 0);
  const head = ["day", "charged", "jobs"].map((name, at) => el("th", { scope: "col", class: at ? "number" : "" }, t(name)));
  const table = days.length ? el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, days.map((day) => el("tr", {},
    el("td", {}, day.label), el("td", { class: "number" }, day.charged), el("td", { class: "number" }, integer(day.jobs)))))) : null;
  show(
    el("div", { class: "panel-head" }, el("h3", {}, t("usage_title")), tabs),
    el("dl", { class: "tiles" }, [[t("charged"), report.charged], [t("jobs"), integer(report.jobs)], [t("megapixels"), decimal(report.megapixels)]].map(
      ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    el("p", { class: "fine" }, t("usage_span", { first: report.first_day, last: report.last_day, timezone: report.timezone }), " ", playBadge(report.play_money)),
    days.length ? chart(report) : null, table,
    el("p", {}, el("a", { href: report.csv_url, download: "" }, t("usage_csv"))));
}

async function quota(words, show) {
  const [verb, ...rest] = words;
  if (verb === "pause" || verb === "resume") {
    const { paused } = await call("POST", "/api/pause", { paused: verb === "pause", text: rest.join(" ") });
    return show(el("h3", {}, t("quota_title")), el("p", {}, paused ? t("quota_paused") : t("quota_resumed")));
  }
  const change = verb === "set" ? { text: rest.join(" ") } : verb === "clear" ? { clear: rest.join(" ") } : null;
  const { limits } = change ? await call("POST", "/api/limits", change) : await call("GET", "/api/limits");
  return showLimits(limits, show, change !== null);
}

function showLimits(limits, show, changed) {
  show(
    el("div", { class: "panel-head" }, el("h3", {}, t("quota_title")), playBadge(boot.play_money)),
    changed ? el("p", { class: "fine", role: "status" }, t("quota_changed")) : null,
    limits.length === 0 ? el("p", {}, t("quota_none")) : el("div", {}, limits.map((limit) => meter(limit, show))),
    el("p", { class: "fine" }, t("quota_how")),
    ["/quota set everything day $20", "/quota set workspace discord:1234 month $50", "/quota pause channel slack:T1:C1"].map((line) => el("code", { class: "example" }, line)));
}

function meter(limit, show) {
  const share = limit.amount ? Math.min(100, ((limit.used + limit.held) / limit.amount) * 100) : 100;
  const bar = el("div", { class: "bar", role: "meter", "aria-label": limit.text, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(share)) }, el("i"));
  bar.style.setProperty("--done", `${share}%`);
  const measure = limit.measure === "megapixels" ? "mp" : limit.measure;
  const clear = limit.words && limit.source === "operator" ? el("button", {
    type: "button", class: "quiet icon-only", "aria-label": `${t("quota_clear")}: ${limit.text}`, title: t("quota_clear"),
    onclick: async () => {
      const window = limit.window === "now" ? "" : limit.window;
      const { limits } = await call("POST", "/api/limits", { clear: `${limit.words} ${window} ${measure}` });
      showLimits(limits, show, true);
    },
  }, icon("close")) : null;
  return el("div", { class: "meter" }, el("div", { class: "head" }, el("b", {}, limit.text, limit.words.includes(" ") && limit.source === "operator" ? el("code", { class: "where" }, limit.words) : null), clear), bar,
    el("p", { class: "fine" }, t("quota_of", { used: limit.used_text, amount: limit.amount_text })));
}

async function history(words, show, page) {
  const { jobs } = await call("GET", "/api/history?limit=50");
  const kept = jobs.filter((job) => job.state !== "refused"); // what was never begun is no history
  const rows = kept.map((job) => ({ name: (job.name || job.job_id).toLowerCase(), node: historyRow(job, page) }));
  const find = el("input", { class: "find", type: "search", "aria-label": t("history_find"), placeholder: t("history_find"), value: words.join(" "), oninput: () => sift() });
  const sift = () => { for (const { name, node } of rows) node.hidden = !name.includes(find.value.trim().toLowerCase()); };
  sift();
  show(el("div", { class: "panel-head" }, el("h3", {}, t("history_title")), rows.length ? find : null),
    rows.length ? el("ul", { class: "jobs" }, rows.map(({ node }) => node)) : el("p", {}, t("history_none")));
}

function historyRow(job, page) {
  const name = job.name || job.texts.size || job.job_id;
  const picture = job.state === "succeeded" && !job.images_deleted
    ? el("img", { class: "thumb", src: job.result.thumb_url, alt: "", loading: "lazy", onerror: (event) => event.target.replaceWith(el("span", { class: "thumb" })) })
    : el("span", { class: "thumb" });
  return el("li", {}, picture,
    el("div", { class: "grow" }, el("b", { title: name }, name), el("span", { class: "fine" }, job.texts.size || job.quote?.text || ""), el("time", {}, dateTime(job.created_at))),
    el("span", { class: "fine" }, job.receipt?.price ?? ""),
    button(t("show"), null, () => page.open(job), { "aria-label": `${t("show")}: ${name}` }));
}

async function help(words, show) {
  show(el("h3", {}, t("help_title")),
    el("dl", { class: "commands" }, COMMANDS.map(([line, key]) => [el("dt", {}, el("code", {}, line)), el("dd", {}, t(key))])),
    el("p", { class: "fine" }, t("help_keys")));
}

async function settings(words, show) {
  const [verb, ...rest] = words;
  if (verb === "save" || verb === "clear") {
    boot.defaults = (await call("PUT", "/api/defaults", { text: verb === "save" ? rest.join(" ") : "" })).defaults;
  }
  const { defaults } = verb ? { defaults: boot.defaults } : await call("GET", "/api/defaults");
  const entries = Object.entries(defaults);
  show(el("h3", {}, t("settings_title")),
    verb ? el("p", { class: "fine", role: "status" }, t("quota_changed")) : null,
    entries.length ? el("dl", { class: "details" }, entries.map(([name, value]) => [el("dt", {}, boot.controls.find((one) => one.name === name)?.label ?? t(name)), el("dd", {}, typeof value === "boolean" ? t(value ? "on" : "off") : String(value))])) : el("p", {}, t("settings_none")),
    el("p", { class: "fine" }, t("settings_how")), el("code", { class: "example" }, "/settings save 3x creativity=0.5"),
    entries.length ? el("div", { class: "actions" }, button(t("settings_clear"), "trash", () => settings(["clear"], show))) : null);
}

async function privacy(words, show, page) {
  const remove = async () => {
    if (!(await confirmDialog(t("privacy_delete"), t("privacy_sure"), t("delete_yes")))) return;
    const { erased } = await call("POST", "/api/privacy/delete", { confirm: true });
    page.clear();
    show(el("h3", {}, t("privacy_title")), el("p", { role: "status" }, t("privacy_deleted", { n: erased })));
  };
  show(el("h3", {}, t("privacy_title")), el("p", {}, t("privacy_lead")),
    el("div", { class: "actions" },
      el("a", { class: "button", href: "/api/privacy/export", download: "" }, icon("download"), t("privacy_export")),
      button(t("privacy_delete"), "trash", remove, { class: "danger" })));
}
