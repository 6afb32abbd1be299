/**
 * source.mjs BASE STREAM: opens the bare view as OBS does and leaves it alone until its own input ends. Twice a second it prints as a
 * line of JSON when it looked, how many frames the page has shown so far and whether it shows anything; the last line is its report.
 */

import { pause, report } from "./chromium.mjs";

const EVERY = 500; // ms
const [base, stream] = process.argv.slice(2);
let watched = true;
process.stdin.on("end", () => (watched = false)).resume();

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
    while (watched) {
      const seen = await page.evaluate(() => {
        const video = document.querySelector("#styled");
        return { shown: window.shown, visible: getComputedStyle(video).visibility === "visible" };
      });
      process.stdout.write(`${JSON.stringify({ at_s: Date.now() / 1_000, ...seen })}\n`);
      await pause(EVERY);
    }
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const fit = await page.evaluate(() => getComputedStyle(document.querySelector("#styled")).objectFit);
    const text = (await page.innerText("body")).trim();
    return { loads, background, fit, text };
  },
  { width: 640, height: 360 },
);
