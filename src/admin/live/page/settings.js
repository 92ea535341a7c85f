// The view of the configuration in effect: each key, its value, and where it is from.

import { make, part } from "./dom.js";
import { visible } from "./format.js";
import { ask } from "./server.js";

export class Settings {
  constructor() {
    /** @type {{ key: string, value: string, origin: string, secret: boolean }[]} */
    this.settings = [];
    part("config-search").addEventListener("input", () => this.filter());
    part("config-set").addEventListener("change", () => this.filter());
  }

  /** Asks the worker for it, once for each of its starts. @param {number} start @param {AbortSignal} [signal] */
  async load(start, signal) {
    if (start === this.start) return;
    const { settings, risks } = await ask("config", { signal });
    this.start = start;
    this.settings = settings;
    part("risks").hidden = risks.length === 0;
    part("risks-list").replaceChildren(...risks.map((/** @type {string} */ risk) => make("li", ...inCode(risk))));
    part("config-rows").replaceChildren(...settings.map(settingRow));
    this.filter();
  }

  filter() {
    const wanted = part("config-search").value.trim().toLowerCase();
    const onlySet = part("config-set").checked;
    let shown = 0;
    this.settings.forEach(({ key, value, origin }, place) => {
      const fits = `${key} ${value} ${origin}`.toLowerCase().includes(wanted) && !(onlySet && origin === "default");
      part("config-rows").children[place].hidden = !fits;
      shown += Number(fits);
    });
    part("config-none").hidden = shown > 0;
  }
}

/** What stands between backticks is code. @param {string} words */
const inCode = (words) => visible(words).split("`").map((piece, place) => (place % 2 ? make("code", piece) : piece));

/** @param {{ key: string, value: string, origin: string, secret: boolean }} setting */
function settingRow({ key, value, origin, secret }) {
  const name = make("th", make("code", key));
  name.scope = "row";
  const shown = value === "" ? make("span.hush", "empty") : make("code", visible(value));
  const cell = make("td", shown, ...(secret ? [" ", make("small.tag", "secret")] : []));
  return make(`tr${origin === "default" ? "" : ".set"}`, name, cell, make("td", origin === "default" ? make("span.hush", "default") : visible(origin)));
}
