// Where the worker is: from what PHP gives as its address to what a WebSocket takes.

/**
 * The worker's WebSocket address, as in `wss://host/ws`, without the topic.
 *
 * Takes `ws:`, `wss:`, `http:` and `https:` addresses, with or without a slash or `/ws` at the
 * end, and paths of the page's own server (`/worker`). What it returned, it returns unchanged.
 *
 * @throws TypeError if that is no such address; its message says what to write instead.
 */
export function socketAddress(url: string): string {
  try {
    // A name without a scheme would be taken for a path beside the page; more likely it is a slip.
    if (/^(\w+:\/\/|\/)/.test(url)) {
      const base = typeof location === "undefined" ? undefined : location.href;
      const { protocol, host, pathname, search } = new URL(url, base);
      const scheme = /^(ws|http)(s?):$/.exec(protocol);
      if (scheme && host && !search) {
        return `ws${scheme[2]}://${host}${pathname.replace(/\/+$/, "").replace(/\/ws$/, "")}/ws`;
      }
    }
  } catch (error) {
    // Said below.
  }
  throw new TypeError(
    `WavelogWorker: "${url}" is no address of a worker; write wss://host, ws://host:port or /path`,
  );
}

/** Whether an address of `socketAddress` is on this machine, which no network is needed for. */
export function isLoopback(address: string): boolean {
  return /^wss?:\/\/(([^/]+\.)?localhost|127\.[\d.]+|\[::1\])[:/]/.test(address);
}
