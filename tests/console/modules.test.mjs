/** The console's modules that need no browser, in node: `node --test tests/console`. */

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.location = { origin: "http://127.0.0.1:8080", search: "", pathname: "/" };

const { Api } = await import("../../clients/browser/js/api.js");
const { iceServersOf } = await import("../../clients/browser/js/peer.js");
const { Patcher } = await import("../../clients/browser/js/patcher.js");
const { Problem, explain } = await import("../../clients/browser/js/problem.js");
const { Backoff, Keeper } = await import("../../clients/browser/js/retry.js");
const { STAGES, endToEnd_ms, stagesOf } = await import("../../clients/browser/js/stages.js");
const { viewUrl } = await import("../../clients/browser/js/address.js");

const nothingMeasured = { encode_ms: null, rtt_ms: null, buffer_ms: null, decode_ms: null, fps_shown: null, frames_decoded: 0, kbps: null };

/** @param {string[]} chunks */
function events(chunks) {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

test("ICE servers are read from Link headers, and other links are not", () => {
  const header =
    '<turn:a.example:3478?transport=udp>; rel="ice-server"; username="u"; credential="p;,x"; credential-type="password", ' +
    '<stun:b.example>; rel="ice-server", <https://c.example>; rel="ice-server", <stun:d.example>; rel="next"';
  assert.deepEqual(iceServersOf(header), [
    { urls: "turn:a.example:3478?transport=udp", username: "u", credential: "p;,x" },
    { urls: "stun:b.example" },
  ]);
  assert.deepEqual(iceServersOf(""), []);
});

test("an event cut anywhere by the network arrives whole, and comments are passed over", async (t) => {
  const text = ': hello\n\nevent: stats\ndata: {"params":{"seed":1},\ndata: "viewers":2}\n\nevent: stats\ndata: {"params":{"seed":2}}\n\n';
  for (const cut of [1, 9, 30, 50, 75]) {
    const seen = [];
    t.mock.method(globalThis, "fetch", async () => events([text.slice(0, cut), text.slice(cut)]));
    await new Api("").follow("s", (state) => seen.push(state.params.seed), new AbortController().signal);
    assert.deepEqual(seen, [1, 2]);
  }
});

test("the token goes along as a bearer", async (t) => {
  const fetch = t.mock.method(globalThis, "fetch", async () => Response.json({ properties: {} }));
  await new Api("secret").schema();
  assert.equal(fetch.mock.calls[0].arguments[1].headers.Authorization, "Bearer secret");
});

test("a refusal names its fields, both as an object and as a list", async () => {
  const asObject = Response.json({ detail: "no", errors: { seed: "must be whole" } }, { status: 422 });
  const asList = Response.json({ detail: "no", errors: [{ pointer: "#/seed", detail: "must be whole" }] }, { status: 422 });
  for (const response of [asObject, asList]) assert.deepEqual((await Problem.of(response)).fields, { seed: "must be whole" });
});

test("silence, a full server and a taken name each say what to do", async () => {
  const full = await Problem.of(Response.json({ detail: "16 of 16 streams are open" }, { status: 503, headers: { "Retry-After": "3" } }));
  assert.equal(full.retryAfterMs, 3000);
  assert.match(explain(full, "s").detail, /16 of 16 streams are open\./);
  assert.match(explain(new Problem(0, ""), "s").detail, /cmstream serve/);
  assert.match(explain(new Problem(409, "it has a publisher"), "studio").detail, /another name/);
  assert.match(explain(new DOMException("", "NotFoundError"), "s").detail, /Canvas/);
});

test("delays double up to ten seconds, never undercut the server's wish, and start over", () => {
  const backoff = new Backoff();
  const delays = Array.from({ length: 8 }, () => backoff.next());
  assert.ok(delays[0] <= 600 && delays[7] <= 12_000 && delays[7] >= 8_000);
  assert.ok(backoff.next(30_000) >= 30_000);
  backoff.reset();
  assert.ok(backoff.next() <= 600);
});

test("a keeper brings a lost connection back, and stays down once closed", async () => {
  const told = [];
  let connects = 0;
  await new Promise((resolve) => {
    const keeper = new Keeper(
      async () => {
        connects += 1;
        if (connects === 1) throw new Problem(409, "not yet");
        return { lost: connects === 2 ? Promise.resolve("gone") : new Promise(() => {}), close: () => told.push("closed") };
      },
      {
        up: () => {
          told.push("up");
          if (connects === 3) setTimeout(() => resolve(keeper.close()), 0);
        },
        down: (error) => told.push(error.message),
      },
    );
  });
  assert.deepEqual(told, ["not yet", "up", "closed", "gone", "up", "closed"]);
});

test("one change at a time is on its way, and the newest value wins", async () => {
  const sent = [];
  let accepted = null;
  const patcher = new Patcher(
    async (patch) => {
      sent.push(patch);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return patch;
    },
    (params) => (accepted = params),
    () => assert.fail("nothing was refused"),
  );
  for (let strength = 0; strength <= 10; strength++) patcher.put({ strength });
  patcher.put({ seed: 7 });
  while (patcher.busy) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(sent, [{ strength: 0 }, { strength: 10, seed: 7 }]);
  assert.deepEqual(accepted, { strength: 10, seed: 7 });
});

test("end to end is the sum of what both sides measured, and unknown until both have", () => {
  const server = { stages_ms: { decode: 2, queue: 3, infer: 30 } };
  assert.equal(endToEnd_ms(stagesOf(server, nothingMeasured)), null);
  const stages = stagesOf(server, { ...nothingMeasured, encode_ms: 4, rtt_ms: 6, buffer_ms: 5, decode_ms: 1 });
  assert.equal(endToEnd_ms(stages), 2 + 3 + 30 + 4 + 6 + 5 + 1);
  assert.equal(new Set(STAGES.map(({ key }) => key)).size, STAGES.length);
});

test("the address of the view page carries the token only where there is one", () => {
  assert.equal(viewUrl("a-b", ""), "http://127.0.0.1:8080/view/a-b");
  assert.equal(viewUrl("a-b", "x&y"), "http://127.0.0.1:8080/view/a-b?token=x%26y");
});
