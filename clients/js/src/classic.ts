// The script for pages without a build step: sets the global `WavelogWorker`. What PHP set there
// before, its `url`, stays.

import { connect, version } from "./connect.js";
import { makeDropin } from "./dropin.js";

const page = (typeof globalThis === "object" ? globalThis : self) as unknown as {
  WavelogWorker?: { url?: string };
};
const worker = page.WavelogWorker || {};
page.WavelogWorker = Object.assign(worker, makeDropin(worker, page), { connect, version });
