/** glass.mjs BASE SECONDS BUFFER: publishes a marked canvas, plays it back and measures; BUFFER "browser" leaves the jitter buffer as it is. */

import { report } from "./chromium.mjs";

const WARM_UP_MS = 5_000;
const [base, seconds, buffer] = process.argv.slice(2);

/** Runs in the page before anything else: what the console's scripts ask of the jitter buffer comes to nothing. */
function leaveTheBuffer() {
  for (const name of ["jitterBufferTarget", "playoutDelayHint"]) {
    if (name in RTCRtpReceiver.prototype) Object.defineProperty(RTCRtpReceiver.prototype, name, { get: () => null, set: () => {} });
  }
}

/** Runs in the page, on the console's own modules but without its pictures. */
async function measure({ warmUp_ms, window_ms }) {
  const of = (name) => import(`/assets/js/${name}.js`);
  const [{ publish }, { play }, { MarkedSource }, { MarkReader }, { LatencyMeter }] = await Promise.all(
    ["whip", "whep", "marked-source", "mark-reader", "latency-meter"].map(of),
  );
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
  await publish("/whip/glass", "", new MarkedSource(picture).track, signal);
  const headers = { "Content-Type": "application/json" };
  await fetch("/api/v1/streams/glass", { method: "PATCH", headers, body: JSON.stringify({ watermark: "pass" }) });
  const video = Object.assign(document.createElement("video"), { muted: true });
  document.body.append(video);
  await play("/whep/glass", "", video, signal);
  const meter = new LatencyMeter();
  new MarkReader(video, (latency_ms) => meter.add(latency_ms));
  await pause(warmUp_ms);
  meter.clear();
  await pause(window_ms);
  return meter.summary();
}

await report(async (page) => {
  if (buffer === "browser") await page.addInitScript(leaveTheBuffer);
  await page.goto(`${base}/healthz`);
  return await page.evaluate(measure, { warmUp_ms: WARM_UP_MS, window_ms: 1000 * Number(seconds) });
});
