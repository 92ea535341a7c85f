// What stands between the page and the worker, or in the worker's place, so that things go wrong:
// a TCP proxy, nginx, and a server that says what a real worker cannot be made to say at will.

import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { WebSocketServer } from "ws";
import { freePorts, start } from "../support.js";
import { scratch } from "./support.js";

/**
 * A TCP proxy to a port of loopback.
 *
 * `mode` decides over new connections: "pass", "hang" (accepted, and nothing more) or "cut"
 * (accepted and reset). `connects` is when each came (`Date.now()`), also while nobody listens
 * behind it. `freeze`, `cut` and `refuse` are for what is connected already.
 */
export class Proxy {
  static async start(targetPort) {
    const proxy = new Proxy();
    Object.assign(proxy, { targetPort, mode: "pass", connects: [], pairs: new Set() });
    [proxy.port] = await freePorts(1);
    await proxy.accept();
    return proxy;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Listens (again). */
  async accept() {
    this.server = createServer((browser) => this.pass(browser));
    await once(this.server.listen(this.port, "127.0.0.1"), "listening");
  }

  pass(browser) {
    this.connects.push(Date.now());
    browser.on("error", () => {});
    if (this.mode === "cut") return reset(browser);
    if (this.mode === "hang") {
      this.pairs.add([browser]);
      return undefined;
    }
    const worker = connect(this.targetPort, "127.0.0.1");
    const pair = [browser, worker];
    this.pairs.add(pair);
    worker.on("error", () => reset(browser));
    for (const [from, to] of [[browser, worker], [worker, browser]]) {
      from.pipe(to);
      from.on("close", () => {
        if (pair.frozen) return; // `cut` ends what is left of it.
        to.destroy();
        this.pairs.delete(pair);
      });
    }
    return undefined;
  }

  /** From now on nothing passes on what is connected, in either direction, not even its end. */
  freeze() {
    for (const pair of this.pairs) {
      pair.frozen = true;
      for (const socket of pair) {
        socket.unpipe();
        socket.pause();
      }
    }
  }

  /** Takes nothing more from the worker, as a browser that does not read; `read()` goes on. */
  stall() {
    for (const [browser, worker] of this.pairs) {
      worker.unpipe(browser);
      worker.pause();
    }
  }

  read() {
    for (const [browser, worker] of this.pairs) worker.pipe(browser);
  }

  /** Resets what is connected. */
  cut() {
    for (const pair of this.pairs) for (const socket of pair) reset(socket);
    this.pairs.clear();
  }

  /** Resets what is connected, and refuses connections until `accept()`. */
  async refuse() {
    const closed = once(this.server.close(), "close");
    this.cut();
    await closed;
  }

  async end() {
    this.cut();
    this.server.close();
  }
}

/** A Redis of its own on a free port, in memory. */
export class Redis {
  static async start() {
    const redis = new Redis();
    [redis.port] = await freePorts(1);
    const args = ["--port", redis.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", scratch];
    redis.process = start("redis-server", args.map(String), { stdio: "ignore" });
    await listens(redis.port);
    return redis;
  }

  async end() {
    this.process.kill("SIGKILL");
    await this.process.ended;
  }
}

/** nginx in front of a worker, as in deploy/nginx.conf, that cuts what is silent for `idleSecs`. */
export class Nginx {
  static async start(targetPort, idleSecs) {
    const nginx = new Nginx();
    [nginx.port] = await freePorts(1);
    const home = join(scratch, `nginx ${nginx.port}`);
    mkdirSync(home);
    const file = join(home, "nginx.conf");
    writeFileSync(file, `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {
        listen 127.0.0.1:${nginx.port};
        location = /ws {
            proxy_pass http://127.0.0.1:${targetPort};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout ${idleSecs}s;
        }
    }
}
`);
    nginx.process = start("nginx", ["-p", home, "-e", "stderr", "-c", file], {
      env: { PATH: `${process.env.PATH}:/usr/sbin` }, stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    nginx.process.stderr.on("data", (data) => { said += data; });
    const early = nginx.process.ended.then((how) => { throw new Error(`nginx ended with ${how}: ${said}`); });
    early.catch(() => {});
    await Promise.race([listens(nginx.port), early]);
    return nginx;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }

  async end() {
    this.process.kill("SIGTERM"); // Its worker process ends with it, as it would not by SIGKILL.
    await this.process.ended;
  }
}

/**
 * A WebSocket server in the worker's place. It answers each auth frame with `auth_ok`, unless
 * `onAuth(socket, frame, count)` is given and does what it likes. `sockets` are those that are
 * open, `auths` the auth frames that came, each with its time.
 */
export class ScriptedServer {
  static async start(onAuth = (socket) => socket.send('{"type":"auth_ok"}')) {
    const server = new ScriptedServer();
    Object.assign(server, { onAuth, auths: [], frames: [] });
    server.server = new WebSocketServer({ host: "127.0.0.1", port: 0, path: "/ws" });
    server.server.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("message", (data) => {
        const frame = JSON.parse(data);
        if (frame.type !== "auth") return server.frames.push(frame);
        server.auths.push({ at: Date.now(), frame });
        return server.onAuth(socket, frame, server.auths.length);
      });
    });
    await once(server.server, "listening");
    server.url = `ws://127.0.0.1:${server.server.address().port}`;
    return server;
  }

  get sockets() {
    return [...this.server.clients];
  }

  async end() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
  }
}

async function listens(port) {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const there = await new Promise((resolve) => socket.once("connect", () => resolve(true)).once("error", () => resolve(false)));
    socket.destroy();
    if (there) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Ends a socket by RST. One that is ending already is only destroyed: node does not get rid of the
 * handle of one that is reset then, and hangs when it exits. */
function reset(socket) {
  if (socket.writableEnded || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}
