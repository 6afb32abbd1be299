/** view.mjs BASE STREAM SECONDS: opens the bare view before anybody publishes, and counts what it is then shown. */

import { framesDecoded, pause, report, untilPainted } from "./chromium.mjs";

const [base, stream, seconds] = process.argv.slice(2);

await report(
  async (page) => {
    await page.goto(`${base}/view/${stream}`);
    process.stderr.write("open\n"); // now somebody may publish: the page finds the stream by itself
    page.setDefaultTimeout(30_000);
    await untilPainted(page);
    await pause(2_000);
    const before = await framesDecoded(page);
    await pause(Number(seconds) * 1000);
    const after = await framesDecoded(page);
    const text = (await page.innerText("body")).trim();
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    return { fps: (after - before) / Number(seconds), frames: after, text, background };
  },
  { width: 768, height: 768 },
);
