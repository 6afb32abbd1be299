/**
 * glass.mjs BASE SECONDS BUFFER WARM_UP_S: publishes a marked canvas, plays it back and measures after the warm-up; BUFFER "browser"
 * leaves the jitter buffer as it is.
 * A frame counts when it is shown with a legible mark and newer than all before; a freeze is the time between two such frames.
 */

import { report } from "./chromium.mjs";

const [base, seconds, buffer, warmUp_s] = process.argv.slice(2);

/** Runs in the page before anything else: what the console's scripts ask of the jitter buffer comes to nothing. */
function leaveTheBuffer() {
  for (const name of ["jitterBufferTarget", "playoutDelayHint"]) {
    if (name in RTCRtpReceiver.prototype) Object.defineProperty(RTCRtpReceiver.prototype, name, { get: () => null, set: () => {} });
  }
}

/** Runs in the page, on the console's own modules but without its pictures. */
async function measure({ warmUp_ms, window_ms }) {
  const of = (name) => import(`/assets/js/${name}.js`);
  const [{ publish }, { play }, { MarkedSource }, { MarkReader }] = await Promise.all(["whip", "whep", "marked-source", "mark-reader"].map(of));
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const picture = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = picture.getContext("2d");
  setInterval(() => {
    const at = performance.now() / 20;
    context.fillStyle = `hsl(${at % 360} 60% 60%)`;
    context.fillRect(0, 0, 320, 240);
    context.fillStyle = "white";
    context.fillRect(at % 320, 100, 40, 40);
  }, 33);
  const { signal } = new AbortController();
  const publisher = await publish("/whip/glass", "", new MarkedSource(picture).track, null, signal);
  const headers = { "Content-Type": "application/json" };
  await fetch("/api/v1/streams/glass", { method: "PATCH", headers, body: JSON.stringify({ watermark: "pass" }) });
  const video = Object.assign(document.createElement("video"), { muted: true });
  document.body.append(video);
  const viewer = await play("/whep/glass", "", video, signal);

  const shown = [];
  let newest_ms = 0;
  new MarkReader(video, (latency_ms) => {
    const now_ms = performance.now();
    if (latency_ms === null || now_ms - latency_ms <= newest_ms) return;
    newest_ms = now_ms - latency_ms;
    shown.push({ now_ms, latency_ms });
  });
  const counts = async ({ pc }, type) => [...(await pc.getStats()).values()].find((stats) => stats.type === type && stats.kind === "video");
  const both = async () => ({ sent: await counts(publisher, "outbound-rtp"), got: await counts(viewer, "inbound-rtp") });
  await pause(warmUp_ms);
  shown.length = 0;
  const before = await both();
  const from_ms = performance.now();
  await pause(window_ms);
  const to_ms = performance.now();
  const after = await both();

  const more = (whose, name) => after[whose][name] - before[whose][name];
  const times = [from_ms, ...shown.map(({ now_ms }) => now_ms), to_ms];
  const latencies = shown.map(({ latency_ms }) => latency_ms).sort((one, other) => one - other);
  const percentile = (share) => latencies[Math.ceil(share * latencies.length) - 1] ?? null;
  const rate = (frames) => (1000 * frames) / (to_ms - from_ms);
  return {
    p50_ms: percentile(0.5),
    p95_ms: percentile(0.95),
    sent_fps: rate(more("sent", "framesSent")),
    decoded_fps: rate(more("got", "framesDecoded")),
    fps: rate(shown.length),
    freeze_ms: Math.max(...times.slice(1).map((time, index) => time - times[index])),
    asked_keyframes: more("got", "pliCount"),
    asked_packets: more("got", "nackCount"),
    buffer_ms: (1000 * more("got", "jitterBufferDelay")) / more("got", "jitterBufferEmittedCount"),
  };
}

await report(async (page) => {
  if (buffer === "browser") await page.addInitScript(leaveTheBuffer);
  await page.goto(`${base}/healthz`);
  return await page.evaluate(measure, { warmUp_ms: 1000 * Number(warmUp_s), window_ms: 1000 * Number(seconds) });
});
