// What the page says to the worker. Each call gives the answer's JSON or throws one of three
// errors; whoever calls decides what is shown. It knows nothing of the document.

/** No session, or not any more. */
export class SignedOut extends Error {}

/** The worker does not answer, or something in front of it answers in its place. */
export class Away extends Error {}

/** The worker says no; the message is its own. */
export class Refused extends Error {
  /** @param {number} status @param {any} answer */
  constructor(status, answer) {
    super(answer?.error ?? `The worker answered ${status}.`);
    this.status = status;
    this.answer = answer;
  }
}

/**
 * Asks `live/` + `path`: with GET, or with POST if there is a body.
 * @param {string} path
 * @param {{ query?: Record<string, any>, body?: string, signal?: AbortSignal, patience?: number }} [options]
 *   `patience` is how long an answer may take, in ms
 * @returns {Promise<any>}
 */
export async function ask(path, { query = {}, body, signal, patience = 10_000 } = {}) {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), patience);
  const end = () => ending.abort();
  signal?.addEventListener("abort", end);
  try {
    const words = new URLSearchParams(query).toString();
    const answer = await fetch(`live/${path}${words && `?${words}`}`, {
      ...(body !== undefined && { method: "POST", body, headers: { "Content-Type": "application/json", "X-Live-View": "1" } }),
      credentials: "same-origin",
      signal: ending.signal,
    });
    if (answer.status === 204) return null;
    const said = await answer.text();
    let json = null;
    try {
      json = JSON.parse(said);
    } catch {
      // A proxy's page, or an answer that was cut off.
    }
    if (answer.ok && json) return json;
    if (answer.status === 401) throw new SignedOut();
    if (json?.error || (answer.status >= 400 && answer.status < 500)) throw new Refused(answer.status, json);
    throw new Away();
  } catch (/** @type {any} */ error) {
    if (error instanceof TypeError || (error.name === "AbortError" && !signal?.aborted)) throw new Away();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}
