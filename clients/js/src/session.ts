// A session: one socket on one topic that comes back for ever. It knows the worker's handshake
// and close codes, when to try and when to wait; it knows nothing of what the page does with the
// frames (`connect`, `dropin`) nor of other tabs (`share`). Start reading at `attempt`, then
// `lose`: every end of an attempt or of a live socket goes through it.

import { isLoopback, socketAddress } from "./address.js";
import { retryPause } from "./backoff.js";
import { startHeartbeat } from "./heartbeat.js";
import type { Heartbeat } from "./heartbeat.js";
import { isOffline, report, watchPage } from "./page.js";
import { expiryOf } from "./token.js";
import type { Frame, Line, SessionEvents, SessionOptions, State } from "./types.js";

/** A connection that lasted so long was a good one: the pauses begin anew after it. */
const STEADY_MS = 10_000;
/** PHP has so long to mint a token. */
const TOKEN_MS = 15_000;
/** A token that expires within this is not worth sending. */
const TOKEN_MARGIN_MS = 2_000;
/** Not the page with the login that PHP sends to a user whose session is over, as one example; and
 * no longer than what the worker takes from a browser. */
const LOOKS_LIKE_A_TOKEN = /^[\w.-]{1,4000}$/;
/** With the network's return all tabs of all browsers in the house come back: spread over this. */
const BACK_ONLINE_MS = 250;
/** Somebody who looks at the page starts an attempt, but not sooner after the last one. */
const BETWEEN_ATTEMPTS_MS = 1_000;
/** A worker that is overloaded (1013) gets pauses as after so many failures, at least. */
const OVERLOADED_FAILURES = 3;
/** Attempts that never open the socket may mean that PHP must register the topic again: it is
 * asked for a token at this failure in a row. When it was live before, at the first one: a worker
 * that was restarted has forgotten the topic, and nothing else is going to tell it. A page that was
 * just loaded had its topic registered. */
const ASK_AGAIN_AT = 3;
const ASK_AGAIN_AT_AFTER_LIVE = 1;
/** PHP may have been asked while the worker was away, in vain: it is asked once more after this,
 * then after twice and three times as long, and in the end this often. */
const ASK_AGAIN_AFTER_MS = 5_000;
const ASK_AGAIN_AFTER_MOST_MS = 20_000;

/** `readyState` of a socket that takes frames. */
const OPEN = 1;
/** The close code of a socket that just vanished, as browsers say it. */
const VANISHED = 1006;
const POLICY_VIOLATION = 1008;
const TRY_AGAIN_LATER = 1013;
const TOO_SLOW = 4008;
const RESYNC = 4009;
const UNAUTHORIZED = 4401;
const WITHDRAWN = 4403;
/** Close codes that say that the token is not good, or not any more. */
const REFUSALS = [POLICY_VIOLATION, UNAUTHORIZED, WITHDRAWN];

/**
 * Opens a session at `url`, in any form that `socketAddress` takes; nothing is called before
 * this returned. What is in `events` must not throw, but may call everything of the `Line`.
 *
 * @throws TypeError if `url` is no address.
 */
export function openSession(url: string, options: SessionOptions, events: SessionEvents): Line {
  const address = socketAddress(url);
  const target = `${address}?topic=${encodeURIComponent(options.topic)}`;
  const needsNetwork = !isLoopback(address);
  const { getToken } = options;
  const startedAt = Date.now();

  let state: State = "connecting";
  let token = options.token;
  let socket: WebSocket | undefined;
  let heartbeat: Heartbeat | undefined;
  /** The next attempt, or the deadline of this one. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts whatever makes an earlier callback, timer or promise void. */
  let turn = 0;
  let attemptAt = 0;
  /** When the next one begins, while waiting. */
  let dueAt = 0;
  let liveAt = 0;
  /** Since it was last steady. */
  let failures = 0;
  let refusals = 0;
  /** Attempts in a row whose socket never opened. */
  let unopened = 0;
  /** Whether PHP is to be asked for a token though there may be a good one. */
  let askAgain = false;
  let askedAt = 0;
  /** How often it was, since a socket opened. */
  let asks = 0;
  let wasLive = false;
  /** Whether a close code said that something was missed. */
  let told = false;

  /** Ends what is under way; returns the number of the new turn. */
  function newTurn(): number {
    clearTimeout(timer);
    timer = undefined;
    if (heartbeat) heartbeat.stop();
    heartbeat = undefined;
    if (socket) {
      // Its close handshake may take minutes, and what still comes from it is of no interest.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    socket = undefined;
    return ++turn;
  }

  /** Goes into `next` and says so, as the last act of whoever calls it. */
  function become(next: State, retryInMs?: number, code?: number, reason?: string): void {
    state = next;
    events.state(next, {
      failures,
      ...(retryInMs !== undefined && { retryInMs }),
      ...(code && { code }),
      ...(reason && { reason }),
    });
  }

  const askAt = (): number => wasLive ? ASK_AGAIN_AT_AFTER_LIVE : ASK_AGAIN_AT;

  function attempt(evenOffline?: boolean): void {
    const mine = newTurn();
    if (needsNetwork && isOffline() && !evenOffline) {
      if (state !== "offline") become("offline");
      return;
    }
    attemptAt = Date.now();
    become("connecting");
    if (mine !== turn) return;
    const expiry = expiryOf(token);
    const askAfter = Math.min(asks * ASK_AGAIN_AFTER_MS, ASK_AGAIN_AFTER_MOST_MS);
    if (unopened >= askAt() && Math.abs(attemptAt - askedAt) >= askAfter) askAgain = true;
    const stale = !token || askAgain || (expiry && expiry - TOKEN_MARGIN_MS < attemptAt);
    if (getToken && stale) fetchToken(getToken, mine);
    else open();
  }

  function fetchToken(ask: () => string | Promise<string>, mine: number): void {
    askAgain = false;
    askedAt = Date.now();
    asks += 1;
    const failed = (error: unknown): void => {
      if (mine !== turn) return;
      console.warn("WavelogWorker: getToken gave no token; it is asked again.", error);
      lose(VANISHED, "token");
    };
    timer = setTimeout(failed, TOKEN_MS, `nothing within ${TOKEN_MS} ms`);
    new Promise<string>((resolve) => resolve(ask())).then((fresh) => {
      if (mine !== turn) return;
      const trimmed = String(fresh).trim();
      if (typeof fresh !== "string" || !LOOKS_LIKE_A_TOKEN.test(trimmed)) {
        failed("That is no token; is the user still logged in?");
      } else {
        clearTimeout(timer);
        token = trimmed;
        open();
      }
    }, failed);
  }

  function open(): void {
    let opened: WebSocket;
    try {
      opened = new WebSocket(target);
    } catch (error) {
      // Forbidden by the page's policy, or ws: in a page that came by https:. Told once.
      if (!failures) report(error);
      lose(VANISHED, "blocked");
      return;
    }
    socket = opened;
    unopened += 1;
    const early: Frame[] = [];
    timer = setTimeout(() => lose(VANISHED, "timeout"), options.connectTimeoutMs);
    opened.onopen = () => {
      unopened = asks = 0;
      opened.send(JSON.stringify({ type: "auth", token: token || "", v: 2 }));
    };
    opened.onclose = (event) => lose(event.code, "closed");
    opened.onmessage = (event) => {
      const frame = parse(event.data);
      if (heartbeat) heartbeat.heard();
      if (!frame) return;
      if (frame.type === "error" && (state !== "live" || isRefusal(frame.code))) {
        const error = String(frame.code);
        lose(isRefusal(error) ? POLICY_VIOLATION : VANISHED, error, error);
      } else if (state === "live") {
        if (frame.type !== "pong") events.frame(frame);
      } else if (frame.type === "auth_ok") {
        goLive(opened, Number(frame.v) >= 2, early);
      } else {
        early.push(frame); // Some workers subscribe before they say auth_ok.
      }
    };
  }

  function goLive(opened: WebSocket, offersHeartbeat: boolean, early: Frame[]): void {
    const again = wasLive;
    const late = failures > 0 || isLate(startedAt, options);
    const resync = !again ? late && "late" : told ? "told" : "reconnected";
    clearTimeout(timer);
    state = "live";
    liveAt = Date.now();
    wasLive = true;
    told = false;
    const ask = (): void => opened.send('{"type":"ping"}');
    const dead = (reason: string): void => lose(VANISHED, reason);
    heartbeat = startHeartbeat(options.heartbeatMs, offersHeartbeat, ask, dead);
    // Each of these may close the session, or end this socket in another way.
    events.live(again);
    if (opened === socket) become("live");
    if (opened === socket && resync) events.resync(resync);
    early.forEach((frame) => opened === socket && events.frame(frame));
  }

  /** An attempt failed, or the live socket ended. */
  function lose(code: number, reason: string, error?: string): void {
    const live = state === "live";
    const mine = newTurn();
    const steady = live && Math.abs(Date.now() - liveAt) >= STEADY_MS;
    if (steady) failures = refusals = 0;
    if (code === TOO_SLOW || code === RESYNC) told = true;
    state = "waiting";
    events.lost(error ? { live, code, reason, error } : { live, code, reason });
    if (mine !== turn) return;

    let pause = retryPause(
      code === TRY_AGAIN_LATER ? Math.max(failures, OVERLOADED_FAILURES) : failures,
      options.firstRetryMs,
      options.maxRetryMs,
    );
    if (!steady) failures += 1;
    if (reason !== "token" && unopened === askAt()) askAgain = true;
    if (REFUSALS.includes(code)) {
      if (getToken) token = undefined;
      if (!getToken || code === WITHDRAWN) {
        become("refused", undefined, code, reason);
        return;
      }
      if (!refusals++) pause = 0;
    }
    // The worker is likely to be there: it is the way to it that broke.
    if (reason === "silent" || reason === "asleep") pause = 0;
    if (needsNetwork && isOffline()) become("offline", undefined, code, reason);
    else wait(pause, code, reason);
  }

  /** Waits for the next attempt. */
  function wait(pause: number, code?: number, reason?: string): void {
    const mine = newTurn();
    dueAt = Date.now() + pause;
    if (pause) timer = setTimeout(attempt, pause);
    become("waiting", Math.round(pause), code, reason);
    if (!pause && mine === turn) attempt();
  }

  const unwatch = watchPage((event) => {
    if (state === "live") {
      if (heartbeat) heartbeat.ask();
    } else if (event === "offline") {
      if (state === "waiting" && needsNetwork) attempt();
    } else if (state === "waiting" || state === "offline") {
      // The time of day may have been set back meanwhile.
      const soon = Math.min(attemptAt - Date.now(), 0) + BETWEEN_ATTEMPTS_MS;
      if (event === "online") wait(1 + Math.random() * BACK_ONLINE_MS);
      else if (soon <= 0) attempt();
      else if (Date.now() + soon < dueAt) wait(soon);
    }
  });

  Promise.resolve().then(() => {
    if (!turn) attempt();
  });

  return {
    get state() {
      return state;
    },
    send(frame) {
      if (state !== "live" || !socket || socket.readyState !== OPEN) return false;
      socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
      return true;
    },
    retry() {
      if (state === "live") {
        if (heartbeat) heartbeat.ask();
      } else if (state !== "connecting" && state !== "closed") {
        attempt(true);
      }
    },
    close() {
      newTurn();
      unwatch();
      state = "closed";
    },
  };
}

/** Whether a first connection comes so late that the page's data is old. */
export function isLate(startedAt: number, { lateMs }: SessionOptions): boolean {
  return !lateMs || Date.now() - startedAt > lateMs;
}

/** Whether the code of an `error` frame says that the token is not good. */
function isRefusal(code: unknown): boolean {
  return code === "unauthorized" || code === "auth_required";
}

/** A frame of the worker; undefined if it is none. */
function parse(text: unknown): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(text as string);
    return frame && typeof (frame as Frame).type === "string" ? (frame as Frame) : undefined;
  } catch (error) {
    return undefined;
  }
}
