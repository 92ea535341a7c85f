// `connect`, what pages call: checks and completes what they say, and hands on to their callbacks
// what the session tells. It is the one place that knows what a callback of the page may do
// wrong.

import { report } from "./page.js";
import { openSession } from "./session.js";
import type {
  ConnectOptions, Connection, ResyncReason, SessionEvents, SessionOptions,
} from "./types.js";

/** The version of this client; the same as the worker's that serves it. */
export const version = "0.4.0";

/** Pauses and deadlines are not shorter, whatever a page says: a worker that is away must not be
 * asked without a pause. */
const MIN_MS = 100;

/**
 * Subscribes to a topic and stays subscribed: authenticates, comes back for ever, and says when
 * the page may have missed something. Nothing is called before this returned.
 *
 * `url` is the worker's address as PHP gives it: `wss://host`, `ws://host:9000`, or a path of
 * the page's own server, with or without `/ws`.
 *
 * @throws TypeError if `url` is no address, or an option is missing or wrong.
 */
export function connect<Payload = unknown>(
  url: string,
  options: ConnectOptions<Payload>,
): Connection {
  const { onMessage, onFrame, onState, onResync, resyncSpreadMs } = options;
  if (typeof onMessage !== "function") {
    throw new TypeError("WavelogWorker: onMessage is missing; give a function that takes a payload");
  }
  let spread: ReturnType<typeof setTimeout> | undefined;

  const events: SessionEvents = {
    live: nothing, // `onState` says it.
    lost: nothing,
    frame(frame) {
      if (frame.type === "push") guarded(onMessage, frame.payload as Payload, frame);
      else guarded(onFrame, frame);
    },
    state(state, detail) {
      guarded(onState, state, detail);
    },
    resync(reason) {
      if (!resyncSpreadMs) guarded(onResync, reason);
      // One that is still to come fetches all that this one would.
      else if (!spread) spread = setTimeout(resync, Math.random() * resyncSpreadMs, reason);
    },
  };
  const line = openSession(url, complete(options), events);

  function resync(reason: ResyncReason): void {
    spread = undefined;
    guarded(onResync, reason);
  }

  return {
    get state() {
      return line.state;
    },
    send(frame) {
      return line.send(frame);
    },
    retry() {
      line.retry();
    },
    close() {
      clearTimeout(spread);
      line.close();
    },
  };
}

/** What a session needs, from what a page said: with the defaults of `ConnectOptions`. */
export function complete(options: Partial<SessionOptions>): SessionOptions {
  const { topic, token, getToken } = options;
  if (!topic || typeof topic !== "string") {
    throw new TypeError('WavelogWorker: topic is missing; give its name, as in "session.42"');
  }
  return {
    topic,
    token,
    getToken,
    connectTimeoutMs: bounded(options.connectTimeoutMs, 10_000, MIN_MS),
    firstRetryMs: bounded(options.firstRetryMs, 1_000, MIN_MS),
    maxRetryMs: bounded(options.maxRetryMs, 30_000, MIN_MS),
    heartbeatMs: bounded(options.heartbeatMs, 30_000, 0),
  };
}

/** Milliseconds of an option: at least `least`, and `usual` if there is no number. */
function bounded(ms: number | undefined, usual: number, least: number): number {
  return typeof ms === "number" && ms === ms ? Math.max(ms, least) : usual;
}

function nothing(): void {
  // Called where there is nothing to do.
}

/** Calls a callback of the page, if there is one. What it throws is shown on the console. */
export function guarded<Arguments extends unknown[]>(
  callback: ((...values: Arguments) => void) | undefined,
  ...values: Arguments
): void {
  try {
    if (callback) callback(...values);
  } catch (error) {
    report(error);
  }
}
