// What the parts of the client say to each other and to the page. Types only: nothing here is
// left in what browsers load. Start reading at `ConnectOptions`, what a page says.

/** A frame of the worker: one JSON object with a `type` (docs/protocol.md, "WebSocket"). */
export interface Frame {
  readonly type: string;
  readonly payload?: unknown;
  readonly [field: string]: unknown;
}

/**
 * Where a connection stands.
 *
 * - `connecting`: a socket is being opened and authenticated, or a token is being fetched;
 * - `live`: subscribed, what is published arrives;
 * - `waiting`: nothing works at the moment, the next attempt is set;
 * - `offline`: the browser has no network, the next attempt is made when it has;
 * - `refused`: the worker refused the token and there is no other, or PHP withdrew it: over,
 *   unless the page calls `retry()`;
 * - `closed`: the page closed it.
 */
export type State = "connecting" | "live" | "waiting" | "offline" | "refused" | "closed";

/** More about a change of state. */
export interface StateDetail {
  /** Attempts that failed since the connection was last live for a while. */
  readonly failures: number;
  /** Milliseconds until the next attempt; with `waiting` only. */
  readonly retryInMs?: number;
  /** WebSocket close code of the socket that ended, if one did; 1006 where it just vanished. */
  readonly code?: number;
  /** What happened, for a log: "closed", "timeout", "silent", "token", "unauthorized", … */
  readonly reason?: string;
}

/**
 * Why the page may have missed something and should fetch its data again.
 *
 * - `reconnected`: the connection was away and is back;
 * - `late`: the first connection took so long, or so many attempts, that the page's data is old;
 * - `told`: the worker said so, by close code 4008 or 4009 before the connection came back.
 */
export type ResyncReason = "reconnected" | "late" | "told";

/** What a page says about the connection it wants. Every callback is optional but `onMessage`. */
export interface ConnectOptions<Payload = unknown> {
  /** The topic to subscribe to. */
  topic: string;
  /** A token for the topic, minted by PHP. Not needed on an open topic or with `getToken`. */
  token?: string;
  /**
   * Fetches a fresh token from PHP. Asked when there is none, when the one there is has expired
   * or was refused, and now and then while nothing works, so that PHP registers the topic again.
   */
  getToken?: () => string | Promise<string>;
  /** What PHP published, and the whole frame it came in. */
  onMessage: (payload: Payload, frame: Frame) => void;
  /** Every other frame, such as the answers on `worker.status`. */
  onFrame?: (frame: Frame) => void;
  /** Each change of state. */
  onState?: (state: State, detail: StateDetail) => void;
  /** The page may have missed something: fetch the data again. After each gap, once. */
  onResync?: (reason: ResyncReason) => void;
  /**
   * A first connection that takes longer than this, in milliseconds from `connect`, leaves a gap
   * (`late`). Default 5,000. With 0 every first one does: for pages that must not miss what is
   * published between PHP's query and the subscription, at the price of a second fetch.
   */
  lateMs?: number;
  /** Spreads `onResync` at random over so many milliseconds. Default 0: at once. */
  resyncSpreadMs?: number;
  /**
   * One socket for all tabs of this browser that ask for the same: same address, topic, and
   * name. `true` takes the user of the token as the name; give a string where tabs of several
   * users may be open, and there is no `token`. Default false: a socket for each tab.
   */
  share?: boolean | string;
  /** Time from opening the socket to `auth_ok`, in milliseconds. Default 10,000. */
  connectTimeoutMs?: number;
  /** Upper bound of the first pause between attempts; doubles. Default 1,000 ms. */
  firstRetryMs?: number;
  /** Upper bound of all pauses between attempts. Default 30,000 ms. */
  maxRetryMs?: number;
  /**
   * How often a silent socket is asked whether it is alive, in milliseconds. Default 30,000, at
   * least 1,000; 0 is never. Only workers that offer it are asked ("Version 2" in
   * docs/protocol.md).
   */
  heartbeatMs?: number;
}

/** A connection that stays: made by `connect`. */
export interface Connection {
  /** Where it stands now. */
  readonly state: State;
  /** Sends a frame (an object, or JSON text) if it is live; whether it was. */
  send(frame: object | string): boolean;
  /** Tries now, also if it was refused; if it is live, asks whether it still is. */
  retry(): void;
  /** Ends it. No callback is called after this. */
  close(): void;
}

/** How one attempt, or the live socket that came of it, ended. Between `session` and its users. */
export interface Loss {
  /** Whether it was live. */
  readonly live: boolean;
  /** WebSocket close code; 1006 where there was none. */
  readonly code: number;
  /** As in `StateDetail`. */
  readonly reason: string;
  /** The code of the worker's `error` frame, if it sent one: "unauthorized", "auth_required". */
  readonly error?: string;
}

/** What a session, one socket that comes back for ever, tells whoever made it. */
export interface SessionEvents {
  /** Authenticated. `again`: it was live before. Comes before the frames, and before `resync`. */
  live(again: boolean): void;
  /** A frame that is not of the handshake or the heartbeat. */
  frame(frame: Frame): void;
  /** An attempt failed or the live socket ended. Comes before the state that follows of it. */
  lost(loss: Loss): void;
  /** A change of state. */
  state(state: State, detail: StateDetail): void;
  /** Something may have been missed; not yet spread. */
  resync(reason: ResyncReason): void;
}

/** What a session needs to know; all set, unlike `ConnectOptions`. */
export interface SessionOptions {
  readonly topic: string;
  readonly token: string | undefined;
  readonly getToken: (() => string | Promise<string>) | undefined;
  readonly connectTimeoutMs: number;
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  readonly heartbeatMs: number;
  readonly lateMs: number;
}

/** What `connect` stands on: a socket of this tab (`session.ts`), or a part in the browser's one
 * (`share.ts`). Both are made by a function `(url, options, events) => Line`. */
export interface Line {
  readonly state: State;
  send(frame: object | string): boolean;
  retry(): void;
  close(): void;
}
