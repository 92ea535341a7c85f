// One socket for all tabs of a browser. The tabs that ask for the same address, topic and name are
// a group. A Web Lock makes one of them the leader: it has the session, and repeats on a
// BroadcastChannel what the session says; the others follow. When the leader goes, the lock goes
// to the next tab, which opens a session of its own. This file knows sessions from outside only,
// and does not look into frames. Start reading at `openShared`, then `hear` and `own`.
//
// The contract: every tab is told what a session of its own would have told it, in the same order
// as in every other tab:
//
// - A tab that joins a live group is live at once, told as `live(false)`, and has every frame of
//   the leader from then on. It is told to fetch its data (`late`) by the same rule as a session.
// - After each gap of the socket, and after each change of the leader, which is one, every tab
//   that was live before has `live(true)` and one `resync`. While there is no leader, a tab is
//   `connecting`; it is told the end of a live leader as the end of a socket: 1006, "leader".
// - `send` and `retry` go to the session through the leader; what the worker answers comes to all.
// - A token is the matter of the tab that brought it, and never leaves it. Only the leader's is
//   used, and only its `getToken` is called; a new leader needs one call of PHP at most. A leader
//   whose token is refused for good is `refused`, alone, and makes way for the next tab, which
//   tries its own. It follows, and stands for leader again after the group was live, or on
//   `retry()`. But 4403, by which PHP withdraws what it gave, is meant for the user: the whole
//   group is `refused`, as all the sockets would have been.
// - In the back/forward cache, or frozen, a tab is not in the group; after it, it had a gap.
//
// A tab may also be stopped without being told, and keep its lock. So a tab that is seen asks now
// and then whether the leader is there, and takes the lock from one that does not answer. That one
// finds out when it wakes, drops its session and follows. There may be two leaders for a moment:
// a tab listens to the one that came last, and asks again if that one is over.

import { socketAddress } from "./address.js";
import { watchPage } from "./page.js";
import { isLate, openSession } from "./session.js";
import { readClaims } from "./token.js";
import type {
  Frame, Line, Loss, ResyncReason, SessionEvents, SessionOptions, State, StateDetail,
} from "./types.js";

/** Part of the group's key; raised whenever `ShareNote` changes, so that scripts never mix. */
const SHARE_VERSION = 1;
/** How often a tab that is seen asks for its leader. */
const ASK_LEADER_MS = 15_000;
/** A leader that does not answer for so long is stopped. */
const LEADER_ANSWER_MS = 3_000;
/** The close code by which PHP withdraws a connection, and of a socket that just vanished. */
const WITHDRAWN_FOR_ALL = 4403;
const LEADER_VANISHED = 1006;

/** What tabs say to each other. `from` is the leadership that speaks. */
type ShareNote =
  /** Who leads? `hurry`: and let its session try now, or see whether its socket is alive. */
  | [kind: "ask", hurry: boolean]
  /** I lead from now on. */
  | [kind: "lead", from: number]
  /** I lead, and this is how it stands: the answer to `ask`, for those who know of no leader. */
  | [kind: "here", from: number, state: State, detail: StateDetail]
  /** I do not lead any more. */
  | [kind: "over", from: number]
  /** For the leader's session. */
  | [kind: "send", frame: string]
  /** PHP withdrew the connection: of all tabs, whoever leads by now. */
  | [kind: "withdrawn", detail: StateDetail]
  /** The leader's session says so. */
  | [kind: "live", from: number, again: boolean]
  | [kind: "frame", from: number, frame: Frame]
  | [kind: "lost", from: number, loss: Loss]
  | [kind: "state", from: number, state: State, detail: StateDetail]
  | [kind: "resync", from: number, reason: ResyncReason];

/** The line that a page asked for by `share`: a session of its own, or a part in a shared one. */
export function openLine(
  url: string,
  options: SessionOptions,
  share: boolean | string | undefined,
  events: SessionEvents,
): Line {
  if (!share) return openSession(url, options, events);
  return openShared(url, options, share === true ? userOf(options.token) : share, events);
}

/** The user of a token, "" if it does not say so: the name of a group that was given none. */
function userOf(token: string | undefined): string {
  const claims = readClaims(token);
  return String((claims && claims.user_id) || "");
}

/**
 * Joins the group of the tabs with the same address, topic and `name`; else as `openSession`.
 *
 * It is `openSession` where the browser has no Web Locks (old ones, and pages that came over
 * plain http from anywhere but this machine) or no BroadcastChannel (old ones, and some for pages
 * that may not have cookies).
 *
 * @throws TypeError if `url` is no address.
 */
export function openShared(
  url: string,
  options: SessionOptions,
  name: string,
  events: SessionEvents,
): Line {
  const group = [socketAddress(url), options.topic, name];
  const key = JSON.stringify(["wavelog-worker", SHARE_VERSION, ...group]);
  if (!canShare(key)) return openSession(url, options, events);
  const startedAt = Date.now();

  /** Who is told; nobody after `close`. */
  let page: SessionEvents | undefined = events;
  let state: State = "connecting";
  /** The last state that the page was told, with its detail. */
  let said: State | undefined;
  let detail: StateDetail = { failures: 0 };
  let wasLive = false;
  let failedBefore = false;
  /** What is to be said once it is live; and whether the session's own gaps are this tab's, too. */
  let missed: ResyncReason | undefined;
  let missesAlike = false;
  /** How this tab's own token was refused. It does not stand for leader then. */
  let refused: StateDetail | undefined;

  /** Undefined while the page is not in the group. */
  let channel: BroadcastChannel | undefined;
  /** The leadership that this tab listens to, its own included. Each has another number. */
  let leader: number | undefined;
  /** While this tab leads. */
  let session: Line | undefined;
  let release: (() => void) | undefined;
  /** While this tab stands in line for the lock. */
  let pending: AbortController | undefined;
  /** The next question for the leader, or the deadline of its answer. */
  let timer: ReturnType<typeof setTimeout> | undefined;

  function post(...note: ShareNote): void {
    if (channel) channel.postMessage(note);
  }

  function hear(note: ShareNote): void {
    if (note[0] === "withdrawn") {
      resign();
      own.state("refused", note[1]);
    } else if (session) {
      // What other leaders say does not matter here: the lock decides who leads.
      if (note[0] === "ask") {
        post("here", leader as number, state, detail);
        if (note[1]) session.retry();
      }
      if (note[0] === "send") session.send(note[1]);
    } else if (note[0] === "lead") {
      follow(note[1]);
    } else if (note[0] === "here") {
      if (!leader) {
        follow(note[1]);
        if (note[2] === "live") own.live(false);
        own.state(note[2], note[3]);
      } else if (note[1] === leader) {
        rest();
      }
    } else if (note[1] === leader) {
      if (note[0] === "over") {
        gone();
        ask();
      } else {
        const tell = own[note[0] as keyof SessionEvents] as (...values: unknown[]) => void;
        tell(note[2], note[3]);
      }
    }
  }

  function follow(other: number): void {
    gone();
    leader = other;
    rest();
  }

  /** From what a session says, here or in the leader, to what one of this tab would have said. */
  const own: SessionEvents = {
    live(again) {
      if (!page) return;
      const late = failedBefore || isLate(startedAt, options);
      const before = wasLive;
      missesAlike = before && again;
      missed = missesAlike ? undefined : before ? "reconnected" : late ? "late" : undefined;
      wasLive = true;
      state = "live";
      if (refused) standInLine();
      page.live(before);
    },
    frame(frame) {
      if (page) page.frame(frame);
    },
    lost(loss) {
      if (!page) return;
      state = "waiting";
      page.lost(loss);
    },
    state(next, more) {
      if (!page) return;
      state = next;
      detail = more;
      if (next === said && next !== "waiting") return;
      said = next;
      failedBefore = failedBefore || more.failures > 0;
      if (next === "refused") {
        leaveLine();
        refused = more;
      }
      page.state(next, more);
      if (next === "live" && missed && page) page.resync(missed);
    },
    resync(reason) {
      if (page && missesAlike) page.resync(reason);
    },
  };

  /** There is no leader any more: the socket that was also this tab's is lost. */
  function gone(): void {
    const live = state === "live";
    const end = { code: LEADER_VANISHED, reason: "leader" };
    leader = undefined;
    if (live) own.lost({ live, ...end });
    if (refused) own.state("refused", refused);
    else own.state("connecting", { failures: 0, ...(live && end) });
  }

  /** Asks for the leader. Where somebody sees this tab, the lock is taken from a silent one. */
  function ask(hurry = false): void {
    const askedAt = Date.now();
    clearTimeout(timer);
    post("ask", hurry);
    if (!channel || document.hidden || (refused && !leader)) return;
    timer = setTimeout(() => {
      if (document.hidden) return;
      // This tab was stopped itself, and the answer may stand in line behind this very timer.
      if (Date.now() - askedAt > 2 * LEADER_ANSWER_MS) ask();
      else standInLine(true);
    }, LEADER_ANSWER_MS);
  }

  /** The leader is there: asks again after a while. */
  function rest(): void {
    clearTimeout(timer);
    if (channel && !document.hidden) {
      timer = setTimeout(() => document.hidden || ask(), ASK_LEADER_MS);
    }
  }

  /** Waits for the lock, or takes it from whoever has it. */
  function standInLine(steal?: boolean): void {
    leaveLine();
    refused = undefined;
    const turn = pending = new AbortController();
    let mine: (() => void) | undefined;
    const granted = (done: () => void): void => {
      if (turn !== pending) return done();
      release = mine = done;
      lead();
    };
    const how = steal ? { steal } : { signal: turn.signal };
    navigator.locks.request(key, how, () => new Promise<void>(granted)).catch((error: Error) => {
      if (turn !== pending && (!mine || mine !== release)) return; // It left the line by itself.
      if (error.name !== "AbortError") return lead(); // A frame without locks, as a sandbox: alone.
      // Another tab took the lock, because this one was stopped for a while.
      resign();
      gone();
      if (!channel) return;
      standInLine();
      ask();
    });
  }

  function leaveLine(): void {
    const turn = pending;
    pending = undefined;
    if (turn) turn.abort();
  }

  function lead(): void {
    const from = Math.random();
    pending = undefined;
    gone();
    clearTimeout(timer);
    if (!channel) return; // The page closed this line meanwhile.
    leader = from;
    session = openSession(url, options, {
      live(again) {
        post("live", from, again);
        own.live(again);
      },
      frame(frame) {
        post("frame", from, frame);
        own.frame(frame);
      },
      lost(loss) {
        const { live, code, reason } = loss;
        post("lost", from, { live, code, reason }); // Without `error`, which is of this token.
        own.lost(loss);
      },
      state(next, more) {
        if (next !== "refused") post("state", from, next, more);
        else if (more.code === WITHDRAWN_FOR_ALL) post("withdrawn", more);
        if (next === "refused") resign();
        own.state(next, more);
      },
      resync(reason) {
        post("resync", from, reason);
        own.resync(reason);
      },
    });
    post("lead", from);
  }

  /** Ends being the leader, if this tab is or was about to be. */
  function resign(): void {
    if (session) {
      session.close();
      session = undefined;
      post("over", leader as number);
      leader = undefined;
    }
    if (release) release();
    release = undefined;
  }

  function join(): void {
    channel = new BroadcastChannel(key);
    channel.onmessage = (event: MessageEvent<ShareNote>) => hear(event.data);
    if (!refused) standInLine();
    ask();
  }

  function leave(): void {
    resign();
    leaveLine();
    clearTimeout(timer);
    if (channel) channel.close();
    channel = undefined;
  }

  const unwatch = watchPage((event) => {
    if (event !== "visible") return;
    if (!channel) {
      gone();
      if (page) join();
    } else if (!session) {
      ask(true);
    }
  });
  addEventListener("pagehide", leave);
  document.addEventListener("freeze", leave);
  join();

  return {
    get state() {
      return state;
    },
    send(frame) {
      if (session) return session.send(frame);
      const sent = state === "live" && !!channel;
      if (sent) post("send", typeof frame === "string" ? frame : JSON.stringify(frame));
      return sent;
    },
    retry() {
      if (session) {
        session.retry();
      } else if (page) {
        if (refused) {
          standInLine();
          gone();
        }
        ask(true);
      }
    },
    close() {
      page = undefined;
      leave();
      state = "closed";
      unwatch();
      removeEventListener("pagehide", leave);
      document.removeEventListener("freeze", leave);
    },
  };
}

/** Whether this page can have a part in the group `key`. */
function canShare(key: string): boolean {
  try {
    new BroadcastChannel(key).close();
    return !!navigator.locks && !!document;
  } catch (error) {
    return false; // Not known here, or forbidden.
  }
}
