// Starts the page: history, input, commands, and the jobs that run.

import { boot, t } from "./boot.js";
import { attempt, call, Follower, newKey, RUNNING, startJob } from "./api.js";
import { announce, byId, el, icon } from "./dom.js";
import { body, saying, tickMoments } from "./draw.js";
import { Batch, knownBatches } from "./batch.js";
import { Card } from "./card.js";
import { Composer, LINK } from "./composer.js";
import { panelFor } from "./panels.js";
import { Thread } from "./thread.js";
import { Attention } from "./attention.js";

const UPLOADS_AT_ONCE = 2;
const HISTORY_READ = 50;
const HISTORY_SHOWN = 12;

const thread = new Thread();
const attention = new Attention();
const cards = new Map();
const waiting = [];
let uploading = 0;

const follower = new Follower(
  (job) => {
    const card = cards.get(job.job_id);
    const stay = thread.nearBottom();
    card?.update(job);
    attention.update(job, cards);
    if (stay && card) inThread(card, (item) => thread.show(item));
  },
  (jobId) => cards.get(jobId)?.refuse({ message: t("gone") }),
  (connected) => { byId("offline").hidden = connected; },
);

const actions = {
  /** A button under a result: a new job made from it. */
  async repeat(job, { kind, argument, label }) {
    thread.mine(label, { name: job.name });
    const card = place();
    card.uploading(1);
    const how = kind === "factor" ? { factor: Number(argument) } : { model: argument };
    await answer(card, call("POST", `/api/jobs/${job.job_id}/repeat`, { change: kind, ...how }));
  },
  /** What a refusal offers: from the image that is still here, else from the job. */
  async retry(card, action) {
    if (!card.order) return actions.repeat(card.job, action);
    const { item, text, key, agreedUsd } = card.order;
    if (action.kind === "unreachable") return order(item, text, key, agreedUsd); // the same key: perhaps it did arrive
    const offered = card.offers?.find(({ kind, argument }) => kind === action.kind && argument === action.argument)?.text;
    return offered ? order(item, [...text.match(LINK) ?? [], offered].join(" "), newKey(), 0, action.label) : order(item, text);
  },
  /** A new card that tries a failed one's picture again. */
  again(card) {
    const { item, text, key, agreedUsd } = card.order ?? {};
    if (card.order) return enqueue(item, text, card.job ? newKey() : key, agreedUsd);
    const next = new Card(actions);
    next.uploading(1);
    answer(next, call("POST", `/api/jobs/${card.job.job_id}/repeat`, { change: "same" }));
    return next;
  },
  /** Scroll to something that was just opened. */
  reveal(node) {
    requestAnimationFrame(() => requestAnimationFrame(() => thread.toTop(node)));
  },
  /** A button of a card was answered: go on following what may still run. */
  settled(card) {
    if (card.job && [...RUNNING, "awaiting_confirmation"].includes(card.job.state)) follower.follow(card.job.job_id);
  },
};

function place(card = new Card(actions)) {
  thread.bots(card.root);
  thread.toBottom();
  return card;
}

/** Cards of a batch move nothing; the others do `act` with their place in the conversation. */
function inThread(card, act) {
  if (card.root.parentElement?.matches(".message")) act(card.root.parentElement);
}

/** Wait for the server's answer to a start, then follow the job. */
async function answer(card, starting) {
  try {
    await attempt(starting.then((job) => adopt(card, job)), (detail) => card.refuse(detail));
  } catch (error) {
    if (error.name === "AbortError") return;
    throw error;
  }
  inThread(card, (item) => thread.show(item));
}

function adopt(card, job) {
  cards.set(job.job_id, card);
  card.update(job);
  attention.update(job, cards, true);
  actions.settled(card);
}

/** One picture (or none, for a link) with its line: a new job. */
function order(item, text, key = newKey(), agreedUsd = 0, said = text || "/upscale") {
  attention.ask();
  thread.mine(said, item ? { url: item.readable ? item.url : null, name: item.file.name } : null);
  place(enqueue(item, text, key, agreedUsd));
}

/** Several pictures with one line: a job each, shown together. */
function orderTogether(items, text) {
  attention.ask();
  thread.mine(text || "/upscale", { name: t("n_images", { n: items.length }) });
  place(new Batch(items.map((item) => ({
    card: enqueue(item, text, newKey(), item.agreedUsd ?? 0), name: item.file.name, url: item.readable ? item.url : null,
  })), actions));
}

/** A card that waits for its picture's turn to be sent. */
function enqueue(item, text, key, agreedUsd = 0) {
  const card = new Card(actions);
  card.order = { item, text, key, agreedUsd };
  card.uploading(0);
  waiting.push(card);
  queueMicrotask(uploadNext);
  return card;
}

function uploadNext() {
  if (uploading >= UPLOADS_AT_ONCE || waiting.length === 0) return;
  const card = waiting.shift();
  if (card.abort.signal.aborted) {
    uploadNext();
    return;
  }
  uploading += 1;
  const started = startJob({
    file: card.order.item?.file, text: card.order.text, key: card.order.key, agreedUsd: card.order.agreedUsd, signal: card.abort.signal,
    onProgress: (share) => card.uploading(share),
  });
  answer(card, started).finally(() => { uploading -= 1; uploadNext(); });
}

async function command(line) {
  thread.mine(line);
  await attempt(panelFor(line, { open, clear }).then((panel) => {
    thread.toTop(thread.bots(panel ?? notice(saying(t("unknown_command", { name: line.split(/\s+/)[0] })))));
    if (panel) announce(panel.querySelector("h3")?.textContent ?? "");
  }), (detail) => thread.toTop(refusal(detail)));
}

const refusal = ({ card, message }) => thread.bots(notice(card ?? saying(message)));

function notice(card) {
  announce(card.summary);
  return el("article", { class: "card refused" }, el("div", { class: "notice" }, icon("warn"), el("div", {}, body(card))));
}

/** Show a job from the history: where it already is, else at the end. */
function open(job) {
  const known = cards.get(job.job_id);
  const card = known ?? showPast(job);
  if (!card.root.isConnected) card.reveal();
  card.root.scrollIntoView({ behavior: "smooth", block: "center" });
  card.root.focus({ preventScroll: true });
}

function showPast(job) {
  thread.mine(job.line, { name: job.name });
  const card = new Card(actions);
  thread.bots(card.root);
  adopt(card, job);
  return card;
}

function showPastTogether(jobs) {
  thread.mine(jobs[0].line.replace(/ ?seed=\d+/, ""), { name: t("n_images", { n: jobs.length }) });
  const past = jobs.map((job) => ({ card: new Card(actions), name: job.name || job.job_id, job }));
  for (const { card, job } of past) adopt(card, job);
  thread.bots(new Batch(past, actions).root);
}

function clear() {
  cards.clear();
  thread.clear();
}

async function loadHistory() {
  await attempt(call("GET", `/api/history?limit=${HISTORY_READ}`).then(({ jobs }) => {
    const groups = new Map(), batches = knownBatches();
    for (const job of jobs) {
      const key = batches.find((ids) => ids.includes(job.job_id)) ?? job;
      groups.set(key, [job, ...groups.get(key) ?? []]);
    }
    for (const group of [...groups.values()].slice(0, HISTORY_SHOWN).reverse()) if (group.length > 1) showPastTogether(group); else showPast(group[0]);
  }), refusal);
  thread.refresh();
  if (!thread.empty) thread.show(thread.list.lastElementChild, false);
}

function wire(composer) {
  for (const node of document.querySelectorAll("[data-command]")) node.addEventListener("click", () => command(node.dataset.command));
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("controls").hidden) composer.controls.toggle(false);
    const act = { "?": () => command("/help"), "/": () => composer.fill("/") }[event.key];
    if (!act || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "")) return;
    event.preventDefault();
    act();
  });
}

byId("play-money").hidden = !boot.play_money;
byId("sign-out").hidden = !boot.signed_in;
const composer = new Composer((items, text) => (items.length > 1 ? orderTogether(items, text) : order(items[0] ?? null, text, newKey(), items[0]?.agreedUsd ?? 0)), command);
wire(composer);
setInterval(tickMoments, 1000);
await loadHistory();
document.documentElement.dataset.ready = "true";
