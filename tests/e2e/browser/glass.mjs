/** glass.mjs BASE SECONDS BUFFER: publishes the console's marked fake camera and measures; BUFFER "browser" leaves the jitter buffer as it is. */

import { pause, report, untilPainted } from "./chromium.mjs";

const WARM_UP_MS = 4_000;
const [base, seconds, buffer] = process.argv.slice(2);

/** Runs in the page before anything else: what the console asks of the jitter buffer comes to nothing. */
function leaveTheBuffer() {
  for (const name of ["jitterBufferTarget", "playoutDelayHint"]) {
    if (name in RTCRtpReceiver.prototype) Object.defineProperty(RTCRtpReceiver.prototype, name, { get: () => null, set: () => {} });
  }
}

await report(async (page) => {
  page.setDefaultTimeout(60_000);
  if (buffer === "browser") await page.addInitScript(leaveTheBuffer);
  await page.goto(`${base}/?view=side`);
  await page.waitForSelector("[data-parameter=strength]");
  await page.click("#start");
  await untilPainted(page);
  await page.click("#measure");
  await pause(WARM_UP_MS + 1000 * Number(seconds));
  const text = await page.textContent("#stat-glass");
  const [, p50_ms, p95_ms, read] = (/^p50 (\d+) · p95 (\d+) ms · (\d+) %$/.exec(text) ?? []).map(Number);
  return { p50_ms, p95_ms, read };
});
