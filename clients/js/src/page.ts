// The page around the connections: what happens to it, and where its mistakes are reported.
// All connections of a page share one set of listeners, which is gone when the last one is.

/**
 * What happens to a page: the browser lost its network or has it again, or somebody looks at the
 * page again (the tab is in front, or it was frozen, or taken out of the history).
 */
export type PageEvent = "offline" | "online" | "visible";

/** Is told what happens to the page. It must not throw. */
export type PageWatcher = (event: PageEvent) => void;

const watchers = new Set<PageWatcher>();

/** Tells `watcher` what happens to the page from now on; returns what ends that. */
export function watchPage(watcher: PageWatcher): () => void {
  if (!watchers.size) listen("addEventListener");
  watchers.add(watcher);
  return () => {
    if (watchers.delete(watcher) && !watchers.size) listen("removeEventListener");
  };
}

/** Whether the browser says that it has no network. That it has one is never sure. */
export function isOffline(): boolean {
  return typeof navigator !== "undefined" && navigator.onLine === false;
}

/** Shows an error of the page's own code on its console, without breaking what called it. */
export function report(error: unknown): void {
  if (typeof reportError === "function") {
    reportError(error);
  } else {
    setTimeout(() => {
      throw error;
    });
  }
}

function listen(verb: "addEventListener" | "removeEventListener"): void {
  if (typeof document !== "undefined") {
    document[verb]("visibilitychange", onPageEvent);
    document[verb]("resume", onPageEvent);
  }
  if (typeof self !== "undefined") {
    self[verb]("pageshow", onPageEvent);
    self[verb]("online", onPageEvent);
    self[verb]("offline", onPageEvent);
  }
}

function onPageEvent(event: Event): void {
  const { type } = event;
  const network = type === "online" || type === "offline";
  if (type === "visibilitychange" && document.visibilityState !== "visible") return;
  if (type === "pageshow" && !(event as PageTransitionEvent).persisted) return;
  Array.from(watchers).forEach((watcher) => {
    // One that is told may end another.
    if (watchers.has(watcher)) watcher(network ? (type as PageEvent) : "visible");
  });
}
