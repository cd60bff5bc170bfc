// Numbers, sizes and times as the reader's language writes them.

import { boot } from "./boot.js";

const number = (options) => new Intl.NumberFormat(boot.locale, options);
const whole = number({ maximumFractionDigits: 0 });
const short = number({ maximumFractionDigits: 2 });
const usd = number({ style: "currency", currency: "USD" });
const dates = new Intl.DateTimeFormat(boot.locale, { dateStyle: "medium", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(boot.locale, { numeric: "auto" });

export const percent = number({ style: "percent", maximumFractionDigits: 0 }).format;
export const integer = (value) => whole.format(value);
export const decimal = (value) => short.format(value);
export const money = (nanousd) => usd.format(nanousd / 1e9);
export const absolute = (unixSeconds) => dates.format(new Date(unixSeconds * 1000));

/** Bytes as megabytes of 10⁶. */
export function bytes(count) {
  const [unit, length] = count < 100_000 ? ["kilobyte", 1000] : ["megabyte", 1e6];
  return number({ style: "unit", unit, maximumFractionDigits: 1 }).format(count / length);
}

/** `2400×1600`. */
export const size = (width, height) => `${width}×${height}`;

/** `in 5 minutes`, `2 hours ago`. */
export function fromNow(seconds) {
  const [unit, length] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return ago.format(Math.round(seconds / length), unit);
}

// The server's clock and this device's may differ; finish times are the server's.
let skew = 0;
export const noteServerTime = (now) => { if (now) skew = now - Date.now() / 1000; };
export const serverNow = () => Date.now() / 1000 + skew;
