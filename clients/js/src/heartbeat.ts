// Finds out that a live socket is dead. TCP does not say so: a laptop that was asleep, a router
// that forgot the connection and a network that changed all leave a socket that looks open for
// many minutes. A page cannot see WebSocket's own pings, so it asks with frames of its own
// ("Version 2" in docs/protocol.md). It knows when to ask; the session knows the socket.
//
// The time of day may be set while it watches, by an hour or a year: so no timer is ever longer
// than it would be had nothing come before.

/** An answer may take so long. */
const ANSWER_MS = 10_000;
/** The same when there is a reason for doubt. */
const HURRIED_ANSWER_MS = 5_000;
/** The worker does not answer two questions within 250 ms; this is well above it. */
const BETWEEN_QUESTIONS_MS = 1_000;
/** The worker gives up a browser that was not heard for 60 s, as one that is asleep. Timers of
 * hidden pages may be a minute late without that. */
const GIVEN_UP_MS = 65_000;
/** A timer that is later than this says that the page was stopped, frames included. */
const STOPPED_MS = 1_000;

/** Watches one live socket until `stop`. */
export interface Heartbeat {
  /** Something came from the worker. */
  heard(): void;
  /** Asks now: there is a reason for doubt. Nothing if the worker does not offer it. */
  ask(): void;
  /** Ends it; no timer is left. */
  stop(): void;
}

/**
 * Watches a live socket: asks by `ask` when nothing came for `intervalMs` (±10 %; 0 is never),
 * and calls `dead` when no answer comes in time. Then it is over.
 *
 * Without `offered` the worker does not know the question. Then the socket is only taken for dead
 * after the whole machine was asleep for longer than the worker waits for a browser.
 */
export function startHeartbeat(
  intervalMs: number,
  offered: boolean,
  ask: () => void,
  dead: (reason: "silent" | "asleep") => void,
): Heartbeat {
  let heardAt = Date.now();
  let askedAt = 0;
  /** Whether an answer is being waited for. */
  let asked = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `then` in `ms`, with the milliseconds that it came too late. One at a time. */
  function wait(ms: number, then: (lateMs: number) => void): void {
    const due = Date.now() + ms;
    clearTimeout(timer);
    timer = setTimeout(() => then(Date.now() - due), ms);
  }

  /** Looks again when the socket will have been silent for the interval. */
  function rest(): void {
    if (intervalMs > 0) {
      const silentMs = intervalMs * (0.9 + 0.2 * Math.random());
      const silentSince = offered ? heardAt : Date.now();
      const dueAt = Math.max(silentSince + silentMs, askedAt + BETWEEN_QUESTIONS_MS);
      wait(Math.min(dueAt - Date.now(), Math.max(silentMs, BETWEEN_QUESTIONS_MS)), (lateMs) => {
        if (!offered && lateMs > GIVEN_UP_MS) end("asleep");
        else if (!offered || Math.abs(Date.now() - heardAt) < intervalMs * 0.9) rest();
        else question(lateMs > STOPPED_MS ? HURRIED_ANSWER_MS : ANSWER_MS);
      });
    }
  }

  function question(answerMs: number): void {
    asked = true;
    askedAt = Date.now();
    awaitAnswer(answerMs);
    ask();
  }

  function awaitAnswer(answerMs: number): void {
    wait(answerMs, (lateMs) => {
      // The page was stopped meanwhile, and the answer may stand in line behind this very timer.
      if (lateMs > STOPPED_MS) awaitLast();
      else end("silent");
    });
  }

  function awaitLast(): void {
    wait(STOPPED_MS, () => end("silent"));
  }

  function end(reason: "silent" | "asleep"): void {
    stop();
    dead(reason);
  }

  function stop(): void {
    clearTimeout(timer);
    intervalMs = 0;
    offered = false;
  }

  rest();
  return {
    heard() {
      heardAt = Date.now();
      if (asked) {
        asked = false;
        clearTimeout(timer);
        rest();
      }
    },
    ask() {
      if (!offered) return;
      const askedMs = Math.abs(Date.now() - askedAt);
      const leftMs = Math.min(HURRIED_ANSWER_MS, ANSWER_MS - askedMs);
      if (asked) awaitAnswer(Math.max(STOPPED_MS, leftMs));
      else if (askedMs >= BETWEEN_QUESTIONS_MS) question(HURRIED_ANSWER_MS);
      else wait(BETWEEN_QUESTIONS_MS - askedMs, () => question(HURRIED_ANSWER_MS));
    },
    stop,
  };
}
