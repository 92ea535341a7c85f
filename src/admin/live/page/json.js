// JSON as text: where a fault is, and how to set it out so that a person can read it. The text is
// never turned into values, so numbers keep every digit, and what was cut off is shown as well.

const STRING = String.raw`"[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\0-\x1f]*)*"`;
const TOKEN = new RegExp(String.raw`[{}[\],:]|${STRING}|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null`, "y");
const FLAT = new RegExp(String.raw`[[{](?:[^"[\]{}]|${STRING})*[\]}]`, "y");
const SPACE = /[ \t\r\n]*/y;
/** A list or object this short stays on one line. */
const SHORT = 64;
const DEEPEST = 24;

/** What `pattern` finds at `place`, or an empty text. @param {RegExp} pattern @param {string} text @param {number} place */
function at(pattern, text, place) {
  pattern.lastIndex = place;
  return pattern.exec(text)?.[0] ?? "";
}

/**
 * Says where `text` is no JSON and why; null if it is.
 * @param {string} text
 * @returns {{ place: number, words: string }?}
 */
export function fault(text) {
  const open = []; // "}" or "]", the innermost last.
  let wanted = "a value";
  let place = 0;
  const wrong = (/** @type {string} */ why) => {
    const lines = text.slice(0, place).split("\n");
    return { place, words: `Line ${lines.length}, column ${lines[lines.length - 1].length + 1}: ${why}.` };
  };
  for (;;) {
    place += at(SPACE, text, place).length;
    if (place === text.length) return wanted === "the end" ? null : wrong(`${wanted} is missing`);
    const token = at(TOKEN, text, place);
    const letter = String.fromCodePoint(text.codePointAt(place));
    if (!token && letter === '"') return wrong("this text has no end, or a wrong escape or a line break in it");
    if (!token && letter === "'") return wrong('texts stand in double quotes, "…"');
    const kind = token[0] === '"' ? "text" : "{}[],:".includes(token[0] ?? "x") ? token : "plain";
    const closes = token !== "" && token === open[open.length - 1];
    if (!token) {
      return wrong(`${wanted} is expected, not ${letter}`);
    } else if (closes && (wanted.endsWith(` or ${token}`))) {
      open.pop();
      wanted = next(open);
    } else if (wanted.startsWith("a value") && !"}],:".includes(kind)) {
      if (kind === "{") [open[open.length], wanted] = ["}", "a name in double quotes or }"];
      else if (kind === "[") [open[open.length], wanted] = ["]", "a value or ]"];
      else wanted = next(open);
    } else if (wanted.startsWith("a name") && kind === "text") {
      wanted = ":";
    } else if (wanted === ":" && kind === ":") {
      wanted = "a value";
    } else if (wanted.startsWith(", or") && kind === ",") {
      wanted = open[open.length - 1] === "}" ? "a name in double quotes" : "a value";
    } else {
      return wrong(`${wanted} is expected, not ${kind === "text" ? "a text" : token}`);
    }
    place += token.length;
  }
}

/** What may follow a value. @param {string[]} open */
const next = (open) => (open.length ? `, or ${open[open.length - 1]}` : "the end");

/**
 * Sets `text` out in lines: pairs of a kind (`key`, `string`, `plain` or nothing) and a text, which
 * joined are the whole.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function setOut(text) {
  /** @type {[string, string][]} */
  const pieces = [];
  let depth = 0;
  let flatUntil = 0;
  let place = 0;
  const line = () => `\n${"  ".repeat(Math.max(0, Math.min(depth, DEEPEST)))}`;
  for (;;) {
    place += at(SPACE, text, place).length;
    const token = at(TOKEN, text, place);
    const flat = place < flatUntil;
    if (token === "") {
      pieces.push(["", text.slice(place)]);
      return pieces;
    } else if ("{[".includes(token)) {
      const all = at(FLAT, text, place);
      if (all && all.length <= SHORT) flatUntil = place + all.length;
      else depth += 1;
      pieces.push(["", place < flatUntil ? token : token + line()]);
    } else if ("}]".includes(token)) {
      if (!flat) depth -= 1;
      pieces.push(["", flat ? token : line() + token]);
    } else if (token === ",") {
      pieces.push(["", flat ? ", " : `,${line()}`]);
    } else if (token === ":") {
      pieces.push(["", ": "]);
    } else {
      const behind = place + token.length;
      const key = text[behind + at(SPACE, text, behind).length] === ":";
      pieces.push([token[0] !== '"' ? "plain" : key ? "key" : "string", token]);
    }
    place += token.length;
  }
}
