/** camera.mjs BASE: opens the console, presses Start with the fake camera, and measures what comes back. */

import { difference, framesDecoded, metric, pause, report, untilPainted } from "./chromium.mjs";

const WINDOW_MS = 5_000;
const [base] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(base);
  await page.waitForSelector("[data-parameter=strength]");
  const fits = await page.evaluate(() => document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth);
  await page.click("#start");
  const painted_ms = await untilPainted(page);
  await page.waitForFunction(() => document.querySelector("#stat-latency").textContent !== "–");
  const [shownBefore, sentBefore] = await Promise.all([framesDecoded(page), metric(base, "cmstream_frames_delivered_total")]);
  await pause(WINDOW_MS);
  const [shown, sent] = await Promise.all([framesDecoded(page), metric(base, "cmstream_frames_delivered_total")]);
  const stream = await page.inputValue("#stream-name");
  const unseen = await page.evaluate(() => document.querySelector(".facts").getBoundingClientRect().bottom - document.querySelector(".panel").getBoundingClientRect().bottom);
  const result = {
    fits,
    unseen,
    painted_ms,
    width: await page.evaluate(() => document.querySelector("#styled").videoWidth),
    shown: shown - shownBefore,
    sent: sent - sentBefore,
    fps: ((shown - shownBefore) * 1000) / WINDOW_MS,
    difference: await difference(page),
    status: await page.textContent("#status-text"),
    latency: await page.textContent("#stat-latency"),
    frames: Number(await page.textContent("#stat-frames")),
  };
  await page.click("#start"); // now Stop
  await pause(1_000);
  const after = await (await fetch(`${base}/api/v1/streams/${stream}`)).json();
  return { ...result, publisher_after_stop: after.publisher ?? null, viewers_after_stop: after.viewers ?? 0 };
});
