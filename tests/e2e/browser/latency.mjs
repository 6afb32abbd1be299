/** latency.mjs BASE [PICTURE.png]: starts the console with the fake camera, measures latency, and switches it off again. */

import { pause, report, untilPainted } from "./chromium.mjs";

const WARM_UP_MS = 3_000;
const WINDOW_MS = 6_000;
const [base, picture] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(`${base}/?view=side`);
  await page.waitForSelector("[data-parameter=strength]");
  const inLook = (await page.$$("[data-parameter=watermark]")).length;
  const fits = await page.evaluate(() => document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth);
  await page.click("#start");
  await untilPainted(page);
  await page.waitForFunction(() => document.querySelector("#stat-latency").textContent !== "–");
  const before = await page.textContent("#stat-glass");
  const stream = `${base}/api/v1/streams/${await page.inputValue("#stream-name")}`;
  await page.click("#measure");
  await pause(WARM_UP_MS);
  const ages_ms = []; // each of the last frames only, while the console's figure is of all of them
  for (let waited_ms = 0; waited_ms < WINDOW_MS; waited_ms += WINDOW_MS / 5) {
    await pause(WINDOW_MS / 5);
    ages_ms.push((await (await fetch(stream)).json()).age_ms);
  }
  const text = await page.textContent("#stat-glass");
  const [, p50_ms, p95_ms, read] = (/^p50 (\d+) · p95 (\d+) ms · (\d+) %$/.exec(text) ?? []).map(Number);
  const measured = await (await fetch(stream)).json();
  if (picture) await page.screenshot({ path: picture });
  await page.click("#measure");
  await pause(1_500);
  const after = await (await fetch(stream)).json();
  return {
    fits,
    inLook,
    before,
    text,
    p50_ms,
    p95_ms,
    read,
    age_ms: Math.min(...ages_ms),
    fps: measured.fps_out,
    mode: measured.params.watermark,
    mode_after: after.params.watermark,
    text_after: await page.textContent("#stat-glass"),
    fps_after: after.fps_out,
  };
});
