// Talking to the server: JSON calls, uploads with progress, and one event stream for all jobs that run.

import { t } from "./boot.js";
import { saying } from "./draw.js";
import { noteServerTime } from "./format.js";

/** A refusal or failure that the server explained; `detail` is its JSON. */
export class Refused extends Error {
  constructor(detail, status) {
    super(detail.message);
    this.detail = detail;
    this.status = status;
  }
}

/** What `work` gives; what refuses it is told `refused`, with its JSON. */
export async function attempt(work, refused) {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return refused(error.detail);
  }
}

/** The states of a job on which somebody, or something, still works. */
export const RUNNING = ["queued", "running", "delivering"];

function unreachable() {
  const again = { is: "action", kind: "unreachable", label: t("try_again"), style: "primary" };
  return new Refused({ code: "unreachable", message: t("failed_request"), card: saying(t("failed_request"), "error", [[again]]), fields: {} }, 0);
}

function judged(status, body) {
  if (status === 401) location.assign("/login");
  if (status >= 200 && status < 300 && body) {
    noteServerTime(body.now);
    return body;
  }
  const detail = body?.error ?? { code: "failed", message: t("failed_request"), fields: {} };
  throw new Refused(detail, status);
}

/** One JSON call. Throws Refused. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = newKey();
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw unreachable();
  }
  return judged(response.status, await response.json().catch(() => null));
}

/** Start a job. `agreedUsd` is the price on the pressed button, if it bore one. `onProgress` gets 0–1 while the picture goes up; `signal` aborts it. Throws Refused. */
export function startJob({ file, text, key, agreedUsd, onProgress, signal }) {
  const form = new FormData();
  form.append("text", text);
  if (agreedUsd) form.append("agreed_usd", String(agreedUsd));
  if (file) form.append("image", file, file.name);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "/api/jobs");
    xhr.responseType = "json";
    xhr.setRequestHeader("Idempotency-Key", key);
    xhr.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    xhr.onload = () => { try { resolve(judged(xhr.status, xhr.response)); } catch (error) { reject(error); } };
    xhr.onerror = () => reject(unreachable());
    xhr.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.send(form);
  });
}

/** A key that makes repeating one request harmless. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Browsers open only six connections to a host, so all jobs share one stream, reopened when another job begins.
const REOPEN_MS = 3000;
const GATHER_MS = 60;

export class Follower {
  constructor(onJob, onGone, onConnection) {
    this.onJob = onJob;
    this.onGone = onGone;
    this.onConnection = onConnection;
    this.active = new Set();
    this.source = null;
    this.timer = 0;
  }

  /** Follow this job until its terminal event. */
  follow(jobId) {
    if (this.active.has(jobId)) return;
    this.active.add(jobId);
    this.#later(GATHER_MS);
  }

  #later(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#open(), delay);
  }

  #open() {
    this.source?.close();
    this.source = null;
    if (this.active.size === 0) return;
    const source = new EventSource(`/api/events?jobs=${[...this.active].slice(-60).join(",")}`);
    this.source = source;
    source.onopen = () => this.onConnection(true);
    source.onmessage = (event) => this.#received(JSON.parse(event.data));
    source.onerror = () => this.#lost(source);
  }

  #received(job) {
    noteServerTime(job.now);
    if (["finished", "failed", "cancelled"].includes(job.type)) this.active.delete(job.job_id);
    this.onJob(job);
    if (this.active.size === 0) {
      this.source?.close();
      this.source = null;
    }
  }

  /** The stream ended or broke: ask about each job once, then open anew. */
  async #lost(source) {
    source.close();
    if (this.source !== source) return;
    this.source = null;
    for (const jobId of [...this.active]) {
      try {
        const job = await call("GET", `/api/jobs/${jobId}`);
        this.onConnection(true);
        this.onJob(job);
        if (["succeeded", "failed", "cancelled", "refused"].includes(job.state)) this.active.delete(jobId);
      } catch (error) {
        if (error.status === 404) {
          this.active.delete(jobId);
          this.onGone(jobId);
        } else {
          this.onConnection(false);
          break;
        }
      }
    }
    if (this.active.size > 0) this.#later(REOPEN_MS);
  }
}
