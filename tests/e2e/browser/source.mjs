/**
 * source.mjs BASE STREAM SECONDS: opens the bare view as OBS does, leaves it alone, and notes every second how many frames the
 * page has shown so far, whether it shows anything, and whether it is still the same page.
 */

import { pause, report } from "./chromium.mjs";

const EVERY = 500; // ms
const [base, stream, seconds] = process.argv.slice(2);

await report(
  async (page) => {
    let loads = 0;
    page.on("load", () => loads++);
    await page.goto(`${base}/view/${stream}?fit=cover`);
    await page.evaluate(() => {
      const video = document.querySelector("#styled");
      window.shown = 0;
      const count = () => {
        window.shown++;
        video.requestVideoFrameCallback(count);
      };
      video.requestVideoFrameCallback(count);
    });
    process.stderr.write("open\n");
    const samples = [];
    const end = performance.now() + Number(seconds) * 1_000;
    while (performance.now() < end) {
      const seen = await page.evaluate(() => {
        const video = document.querySelector("#styled");
        return { shown: window.shown, visible: getComputedStyle(video).visibility === "visible", fit: getComputedStyle(video).objectFit };
      });
      samples.push({ at_s: Date.now() / 1_000, ...seen });
      await pause(EVERY);
    }
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const text = (await page.innerText("body")).trim();
    return { samples, loads, background, text };
  },
  { width: 640, height: 360 },
);
