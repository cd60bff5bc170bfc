// Numbers, sizes and times as the reader's language writes them.

import { boot, t } from "./boot.js";

const number = (options) => new Intl.NumberFormat(boot.locale, options);
const whole = number({ maximumFractionDigits: 0 });
const short = number({ maximumFractionDigits: 2 });
const usd = number({ style: "currency", currency: "USD" });
const when = new Intl.DateTimeFormat(boot.locale, { dateStyle: "medium", timeStyle: "short" });

export const percent = number({ style: "percent", maximumFractionDigits: 0 }).format;
export const integer = (value) => whole.format(value);
export const decimal = (value) => short.format(value);
export const money = (nanousd) => usd.format(nanousd / 1e9);
export const dateTime = (unixSeconds) => when.format(new Date(unixSeconds * 1000));

/** Bytes as megabytes of 10⁶. */
export function bytes(count) {
  return count < 100_000 ? `${short.format(count / 1000)} kB` : `${number({ maximumFractionDigits: 1 }).format(count / 1e6)} MB`;
}

/** `2400×1600`. */
export const size = (width, height) => `${width}×${height}`;

/** `9:59`, `1:02:03`. */
export function clock(seconds) {
  const left = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, at) => (at === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** What is left until `seconds` from now, in words. */
export function remaining(seconds) {
  if (seconds < 1.5) return t("eta_soon");
  const left = Math.round(seconds);
  return left < 60 ? t("eta_s", { n: left }) : t("eta_min", { m: Math.floor(left / 60), s: left % 60 });
}

// The server's clock and this device's may differ; finish times are the server's.
let skew = 0;
export const noteServerTime = (now) => { if (now) skew = now - Date.now() / 1000; };
export const serverNow = () => Date.now() / 1000 + skew;
