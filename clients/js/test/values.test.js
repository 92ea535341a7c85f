// Addresses and tokens: what PHP gives, and what is made of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isLoopback, socketAddress } from "../build/address.js";
import { expiryOf, readClaims } from "../build/token.js";
import { fakeBrowser } from "./fakes.js";

const contract = JSON.parse(readFileSync(new URL("../../../contract/tokens.json", import.meta.url)));

test("every form of the worker's address is understood", (t) => {
  fakeBrowser(t);
  const forms = {
    "wss://worker.example": "wss://worker.example/ws",
    "wss://worker.example/": "wss://worker.example/ws",
    "wss://worker.example/ws": "wss://worker.example/ws",
    "wss://worker.example/ws/": "wss://worker.example/ws",
    "ws://10.0.0.1:9000": "ws://10.0.0.1:9000/ws",
    "ws://[::1]:9000//": "ws://[::1]:9000/ws",
    "https://worker.example": "wss://worker.example/ws",
    "http://worker.example:9000/": "ws://worker.example:9000/ws",
    "WSS://Worker.Example": "wss://worker.example/ws",
    "wss://site.example/live/ws": "wss://site.example/live/ws",
    "wss://site.example/live#x": "wss://site.example/live/ws",
    "wss://site.example/news": "wss://site.example/news/ws",
    "/": "wss://log.example/ws",
    "/worker": "wss://log.example/worker/ws",
    "//worker.example": "wss://worker.example/ws",
  };

  for (const [form, address] of Object.entries(forms)) {
    assert.equal(socketAddress(form), address, form);
    assert.equal(socketAddress(address), address, "what it returned, it returns unchanged");
  }
});

test("what is no address is refused with what to write instead", (t) => {
  fakeBrowser(t);
  const bad = [
    "", "worker.example", "worker.example:9000", "localhost:9000", "ws", "ftp://worker.example",
    "wss://", "wss://worker.example/ws?topic=t", "file:///ws", "javascript:alert(1)", undefined, null, {},
  ];

  for (const url of bad) {
    assert.throws(() => socketAddress(url), {
      name: "TypeError",
      message: `WavelogWorker: "${url}" is no address of a worker; `
        + "write wss://host, ws://host:port or /path",
    });
  }
});

test("without a page around it a path is no address", () => {
  assert.equal(socketAddress("ws://127.0.0.1:9000"), "ws://127.0.0.1:9000/ws");
  assert.throws(() => socketAddress("/worker"), TypeError);
});

test("what is on this machine is known by its name", () => {
  for (const host of ["localhost", "localhost:9000", "a.localhost", "127.0.0.1:1", "127.1.2.3", "[::1]"]) {
    assert.equal(isLoopback(`ws://${host}/ws`), true, host);
  }
  for (const host of ["localhost.example", "notlocalhost", "127.example", "10.0.0.1", "[::2]"]) {
    assert.equal(isLoopback(`ws://${host}/ws`), false, host);
  }
});

test("the claims of the tokens that PHP and the worker agree on are read", () => {
  for (const one of contract.cases.filter(({ accepted, claims }) => accepted && claims)) {
    const claims = JSON.parse(one.claims);
    assert.deepEqual(readClaims(one.token), claims, one.name);
    if (claims.expires) assert.equal(expiryOf(one.token), claims.expires * 1000, one.name);
  }
});

test("what cannot be read is no token, and breaks nothing", () => {
  const bad = [undefined, null, "", ".", "zz.00", "7b.00", "7b7d", "6e756c6c.00", "ff.00", "a", 7, {}];

  for (const token of bad) assert.equal(expiryOf(token), undefined, String(token));
  for (const one of contract.cases) if (one.token) readClaims(one.token);
});
