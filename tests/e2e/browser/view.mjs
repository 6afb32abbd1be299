/** view.mjs BASE STREAM SECONDS: opens the bare view before anybody publishes, and counts what it is then shown. */

import { framesDecoded, metric, pause, report, untilPainted } from "./chromium.mjs";

const STRETCH = 4; // seconds
const [base, stream, seconds] = process.argv.slice(2);

await report(
  async (page) => {
    await page.goto(`${base}/view/${stream}`);
    process.stderr.write("open\n"); // now somebody may publish: the page finds the stream by itself
    page.setDefaultTimeout(30_000);
    await untilPainted(page);
    await pause(2_000);
    const counts = [];
    for (let second = 0; second <= Number(seconds); second++) {
      const [shown, sent] = await Promise.all([framesDecoded(page), metric(base, "cmstream_frames_delivered_total")]);
      counts.push({ at_ms: performance.now(), shown, sent });
      await pause(1_000);
    }
    const first = counts[0];
    const last = counts.at(-1);
    const text = (await page.innerText("body")).trim();
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    // The best stretch: what else this machine does for a moment is not what is measured.
    const rates = counts.slice(STRETCH).map((end, index) => ((end.shown - counts[index].shown) * 1000) / (end.at_ms - counts[index].at_ms));
    const fps = { best: Math.max(...rates), all: ((last.shown - first.shown) * 1000) / (last.at_ms - first.at_ms) };
    return { fps, shown: last.shown - first.shown, sent: last.sent - first.sent, text, background };
  },
  { width: 512, height: 512 },
);
