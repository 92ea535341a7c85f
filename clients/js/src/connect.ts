// `connect`, what pages call: checks and completes what they say, and hands on to their callbacks
// what the session tells. It is the one place that knows what a callback of the page may do
// wrong.

import { report } from "./page.js";
import { openLine } from "./share.js";
import type {
  ConnectOptions, Connection, ResyncReason, SessionEvents, SessionOptions,
} from "./types.js";

/** The version of this client; the same as the worker's that serves it. */
export const version = "0.4.0";

/** Pauses and deadlines are not shorter, whatever a page says: a worker that is away must not be
 * asked without a pause. */
const MIN_MS = 100;
/** Nor is a worker that is there asked more often. */
const MIN_HEARTBEAT_MS = 1_000;
/** Eleven days: what is longer, as Infinity, no timer of a browser can wait for. */
const MAX_MS = 1e9;

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
  const { onMessage, onFrame, onState, onResync, resyncSpreadMs, share } = options;
  if (typeof onMessage !== "function") {
    throw new TypeError("WavelogWorker: onMessage is missing; give a function of a payload");
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
  const settings = complete(options);
  const line = openLine(url, settings, share, events);

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

/** What a page may say of what a session needs. */
export type SomeOptions = { [Key in keyof SessionOptions]?: SessionOptions[Key] | undefined };

/**
 * What a session needs, from what a page said: with the defaults of `ConnectOptions`, which also
 * take the place of what is no number.
 *
 * @throws TypeError if there is no topic.
 */
export function complete(options: SomeOptions): SessionOptions {
  const { topic, token, getToken } = options;
  if (!topic || typeof topic !== "string") {
    throw new TypeError('WavelogWorker: topic is missing; give its name, as in "session.42"');
  }
  const heartbeatMs = bounded(options.heartbeatMs, 30_000, 0);
  return {
    topic,
    token,
    getToken,
    connectTimeoutMs: bounded(options.connectTimeoutMs, 10_000, MIN_MS),
    firstRetryMs: bounded(options.firstRetryMs, 1_000, MIN_MS),
    maxRetryMs: bounded(options.maxRetryMs, 30_000, MIN_MS),
    lateMs: bounded(options.lateMs, 5_000, 0),
    heartbeatMs: heartbeatMs && Math.max(heartbeatMs, MIN_HEARTBEAT_MS),
  };
}

/** Milliseconds of an option: from `least` to `MAX_MS`, and `usual` if there is no number. */
function bounded(ms: number | undefined, usual: number, least: number): number {
  return typeof ms === "number" && ms === ms ? Math.min(Math.max(ms, least), MAX_MS) : usual;
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
