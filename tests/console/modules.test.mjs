/** The console's modules that need no browser, in node: `node --test tests/console`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

globalThis.location = { origin: "http://127.0.0.1:8080", search: "", pathname: "/" };

const { Api } = await import("../../clients/browser/js/api.js");
const { iceServersOf } = await import("../../clients/browser/js/peer.js");
const { Patcher } = await import("../../clients/browser/js/patcher.js");
const { Problem, explain } = await import("../../clients/browser/js/problem.js");
const { Backoff, Keeper } = await import("../../clients/browser/js/retry.js");
const { STAGES, endToEnd_ms, stagesOf } = await import("../../clients/browser/js/stages.js");
const { LatencyMeter } = await import("../../clients/browser/js/latency-meter.js");
const watermark = await import("../../clients/browser/js/watermark.js");
const { frameRequest, heard, openRequest } = await import("../../clients/browser/js/messages.js");
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

test("a change of model is followed to its end, and no further", async (t) => {
  const about = (state) => `event: swap\ndata: {"name":"wave","swap":{"model":"wave","state":"${state}"}}\n\n`;
  const text = about("loading") + about("finished") + about("loading");
  t.mock.method(globalThis, "fetch", async (url) => {
    assert.ok(url.endsWith("/api/v1/model/events"));
    return events([text.slice(0, 30), text.slice(30)]);
  });
  const seen = [];
  await new Api("").followSwap(({ swap }) => seen.push(swap.state) && swap.state === "finished");
  assert.deepEqual(seen, ["loading", "finished"]);
});

test("a change of model is called off by DELETE, and one that has gone over is a problem in words", async (t) => {
  const answers = [Response.json({ state: "cancelled" }), Response.json({ detail: "there is nothing to cancel" }, { status: 404 })];
  const fetch = t.mock.method(globalThis, "fetch", async () => answers.shift());
  await new Api("").cancelSwap();
  assert.equal(fetch.mock.calls[0].arguments[1].method, "DELETE");
  assert.ok(fetch.mock.calls[0].arguments[0].endsWith("/api/v1/model/swap"));
  await assert.rejects(new Api("").cancelSwap(), /nothing to cancel/);
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
  const idle = explain(new Problem(409, "nobody publishes 'studio' now; try again when somebody does"), "studio");
  assert.deepEqual([idle.title.includes("studio"), idle.detail], [true, "Nobody publishes 'studio' now; try again when somebody does."]);
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

const vectors = JSON.parse(readFileSync(new URL("./watermark.json", import.meta.url), "utf-8"));

/** A grey RGBA picture with the mark drawn into it as the canvas would. */
function marked(value, width, height) {
  const rgba = new Uint8ClampedArray(4 * width * height).fill(77);
  for (const cell of watermark.rectangles(value, width, height)) {
    for (let y = cell.top; y < cell.top + cell.height; y++) {
      rgba.fill(cell.white ? 255 : 0, 4 * (y * width + cell.left), 4 * (y * width + cell.left + cell.width));
    }
  }
  return rgba;
}

test("the watermark has the cells and the pixels that the server's has", () => {
  for (const [value, cells] of Object.entries(vectors.cells)) assert.equal(watermark.cells(Number(value)).join(""), cells);
  for (const { value, width, height, row_sums, column_sums } of vectors.pictures) {
    const rgba = marked(value, width, height);
    const rows = new Array(height).fill(0);
    const columns = new Array(width).fill(0);
    for (let at = 0; at < width * height; at++) {
      rows[Math.floor(at / width)] += rgba[4 * at];
      columns[at % width] += rgba[4 * at];
    }
    assert.deepEqual([rows, columns], [row_sums, column_sums]);
  }
});

test("a watermark is read at every size, and one that is damaged is not read as another number", () => {
  for (const [width, height] of [[128, 96], [321, 243], [512, 288]]) {
    for (const value of [0, 1, 11259375, watermark.VALUES - 1]) {
      assert.equal(watermark.read(marked(value, width, height), width, width, height), value);
    }
  }
  for (let cell = 0; cell < 48; cell++) {
    const levels = watermark.cells(654321).map((white) => 255 * white);
    levels[cell] = 255 - levels[cell];
    assert.equal(watermark.valueOf(levels), null, `cell ${cell} is wrong`);
    levels[cell] = 127;
    assert.equal(watermark.valueOf(levels), null, `cell ${cell} is grey`);
  }
  assert.equal(watermark.valueOf(new Array(48).fill(77)), null);
});

test("the age of a stamp is right across the wrap", () => {
  assert.equal(watermark.age_ms(watermark.stamp(1000.9), 1087), 87);
  assert.equal(watermark.age_ms(watermark.stamp(watermark.VALUES - 5), watermark.VALUES + 25), 30);
});

test("the meter gives percentiles of the last frames and counts those it could not read, once one was", () => {
  const meter = new LatencyMeter();
  meter.add(null);
  assert.equal(meter.summary(), null);
  for (let latency_ms = 100; latency_ms >= 1; latency_ms--) meter.add(latency_ms);
  for (let count = 0; count < 25; count++) meter.add(null);
  assert.deepEqual(meter.summary(), { p50_ms: 50, p95_ms: 95, read: 0.8 });
  for (let count = 0; count < 300; count++) meter.add(7);
  assert.deepEqual(meter.summary(), { p50_ms: 7, p95_ms: 7, read: 1 });
  meter.clear();
  assert.equal(meter.summary(), null);
});

const hex = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString("hex");

test("requests are what protobuf makes of them", () => {
  assert.equal(hex(openRequest(85)), "0a0418022055");
  assert.equal(hex(frameRequest(300, new Uint8Array([0xff, 0xd8]))), "120908ac0210022a02ffd8");
  assert.equal(hex(frameRequest(2 ** 40, new Uint8Array())).slice(4, 18), "08808080808020");
});

test("responses are read, and what a page does not need is passed over", () => {
  const response = (/** @type {string} */ text) => heard(new Uint8Array(Buffer.from(text, "hex")));
  assert.deepEqual(response("0a0d0a0363616d180722040802100a"), { opened: { nextFrameId: 7, window: 2 } });
  const { frame } = response("120b080510021880012a02ffd8");
  assert.equal(frame?.frameId, 5);
  assert.equal(hex(frame?.jpeg ?? new Uint8Array()), "ffd8");
  assert.deepEqual(response("2a0408091001"), { dropped: 9 });
  assert.deepEqual(response("320308f403"), {});
  assert.throws(() => response("12ff"), RangeError);
});
