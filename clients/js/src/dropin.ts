// The application's own client, on top of the better connection: the same functions and the same
// callbacks in the same order, so that its pages need no change. What a page can see of it beyond
// that: it comes back sooner, notices dead sockets, and goes on trying quietly after `onFailed`.

import { complete, guarded } from "./connect.js";
import { report } from "./page.js";
import { openLine } from "./share.js";
import { expiryOf } from "./token.js";
import type { Frame, Line, Loss } from "./types.js";

/** What a page says about a subscription. Every callback is optional. */
export interface SubscribeOptions {
  topic: string;
  token?: string;
  /** Beyond the original: fetches a fresh token when the old one has expired or was refused. */
  getToken?: () => string | Promise<string>;
  /** Beyond the original: one socket for all tabs, as in `ConnectOptions`. */
  share?: boolean | string;
  /** Subscribed, for the first time or again. */
  onOpen?: () => void;
  /** Every frame but those of the handshake. */
  onMessage?: (frame: Frame) => void;
  /** The socket was closed, but not by the page. */
  onClose?: () => void;
  /** Attempt `attempt` is coming. */
  onReconnecting?: (attempt: number) => void;
  /** It is back, just before `onOpen`: something may have been missed. */
  onReconnect?: () => void;
  /** The token was refused, or all attempts failed. */
  onFailed?: () => void;
  /** Time from opening the socket to being subscribed. Default 1,500 ms. */
  connectTimeoutMs?: number;
  /** Upper bound of the first pause; doubles. Default 1,000 ms. */
  retryDelayMs?: number;
  /** Attempts before `onFailed`. Default 4, and after these it goes on trying quietly; a number
   * that the page itself gives is the end. */
  maxRetries?: number;
}

/** What `subscribe` returns. */
export interface Subscription {
  /** Sends a frame, an object or JSON text; whether it was sent. */
  send(frame: object | string): boolean;
  /** Ends it. No callback is called after this. */
  close(): void;
  isConnected(): boolean;
}

/** The functions of the global `WavelogWorker`, whose `url` PHP sets. */
export interface Dropin {
  /** Whether there is a worker, as far as PHP says. */
  isAvailable(): boolean;
  /** Warns by the page's `showToast` two minutes before the token, or an earlier one, expires. */
  watchTokenExpiry(token: string | undefined): void;
  subscribe(options: SubscribeOptions): Subscription;
}

/** What the application's pages have on `window`. */
interface ApplicationPage {
  showToast?: (
    title: string, body: string, classes: string, delayMs: number, hides: boolean,
  ) => void;
  lang_worker_token_expired_title?: string;
  lang_worker_token_expired_msg?: string;
  lang_worker_reload_now?: string;
}

/** Reasons of attempts that came to nothing; every other end is one that the other side made. */
const CAME_TO_NOTHING = /^(timeout|token|blocked)$/;
const MAX_RETRIES = 4;
const CONNECT_TIMEOUT_MS = 1_500;
const WARN_BEFORE_MS = 120_000;
/** Timers of browsers cannot wait longer. */
const LONGEST_TIMER_MS = 0x7fffffff;

/** The drop-in for a global whose `url` is looked up when it is needed. */
export function makeDropin(worker: { url?: string | null }, page: object): Dropin {
  /** When the first of all tokens expires, in milliseconds of Unix time. */
  let firstExpiry = Infinity;
  let expiryTimer: ReturnType<typeof setTimeout> | undefined;

  function watchTokenExpiry(token: string | undefined): void {
    const expiry = expiryOf(token);
    if (expiry === undefined || expiry >= firstExpiry) return;
    firstExpiry = expiry;
    awaitExpiry();
  }

  function awaitExpiry(): void {
    clearTimeout(expiryTimer);
    const ms = firstExpiry - WARN_BEFORE_MS - Date.now();
    if (ms > 0) expiryTimer = setTimeout(awaitExpiry, Math.min(ms, LONGEST_TIMER_MS));
    else warn(page as ApplicationPage);
  }

  function subscribe(options: SubscribeOptions): Subscription {
    // With `getToken` a token that expires is none of the user's business.
    if (!options.getToken) watchTokenExpiry(options.token);
    const url = String(worker.url || "");
    // Unlike `connect`, the original puts /ws behind whatever is there, a /ws as well.
    return startSubscription(url ? `${url.replace(/\/$/, "")}/ws` : "", options);
  }

  return { isAvailable: () => !!worker.url, watchTokenExpiry, subscribe };
}

function startSubscription(url: string, options: SubscribeOptions): Subscription {
  const { connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  /** Whether the page itself said how many attempts there are, so that the last one is the last. */
  const limited = typeof options.maxRetries === "number";
  const maxRetries = limited ? (options.maxRetries as number) : MAX_RETRIES;
  let attempts = 0;
  /** After `onFailed`, when it goes on without a word. */
  let quiet = false;
  /** Whether an attempt or a socket ended, and what follows of it is not known yet. */
  let ended = false;
  let line: Line | undefined;
  let failTimer: ReturnType<typeof setTimeout> | undefined;

  function fail(): void {
    if (line) line.close();
    line = undefined;
    if (!quiet) guarded(options.onFailed);
  }

  function lost({ reason, error }: Loss): void {
    ended = true;
    if (error && !options.getToken) fail();
    else if (!quiet && !error && !CAME_TO_NOTHING.test(reason)) guarded(options.onClose);
  }

  /** What follows of an end: another attempt, or none. */
  function retryOrFail(): void {
    ended = false;
    if (quiet) return;
    if (attempts < maxRetries) {
      attempts += 1;
      guarded(options.onReconnecting, attempts);
    } else if (limited) {
      fail();
    } else {
      quiet = true;
      guarded(options.onFailed);
    }
  }

  try {
    const settings = complete({ ...options, connectTimeoutMs, firstRetryMs: options.retryDelayMs });
    line = openLine(url, settings, options.share, {
      live() {
        const back = attempts > 0;
        attempts = 0;
        quiet = false;
        if (back) guarded(options.onReconnect);
        if (line) guarded(options.onOpen);
      },
      frame(frame) {
        if (frame.type === "error") fail();
        else guarded(options.onMessage, frame);
      },
      lost,
      state(state) {
        if (state === "refused") fail();
        else if (ended) retryOrFail();
      },
      resync() {
        // `onReconnect` says it.
      },
    });
  } catch (error) {
    // No address, or no topic: said on the console, and the page does without live updates.
    report(error);
    failTimer = setTimeout(() => guarded(options.onFailed));
  }

  return {
    send: (frame) => !!line && line.send(frame),
    close() {
      clearTimeout(failTimer);
      if (line) line.close();
      line = undefined;
    },
    isConnected: () => !!line && line.state === "live",
  };
}

/** Tells the user that the page must be loaded again to stay live. */
function warn(page: ApplicationPage): void {
  if (typeof page.showToast !== "function") return;
  const label = page.lang_worker_reload_now || "Reload now";
  const link = `<a href="" onclick="location.reload();return false">${label}</a>`;
  guarded(
    page.showToast,
    page.lang_worker_token_expired_title || "Live updates",
    `${page.lang_worker_token_expired_msg || "This page will soon stop being updated."} ${link}`,
    "bg-danger text-white",
    0,
    false,
  );
}
