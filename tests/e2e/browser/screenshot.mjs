/** screenshot.mjs BASE OUT [FILM]: the README's picture. FILM is what the fake camera sees instead of its test picture. */

import { pause, report, untilPainted } from "./chromium.mjs";

const [base, out, film] = process.argv.slice(2);

await report(
  async (page) => {
    await page.goto(`${base}/?stream=studio`);
    await page.waitForSelector("[data-parameter=strength]");
    await page.click("#start");
    const painted_ms = await untilPainted(page);
    await pause(20_000); // the plot fills
    await page.mouse.move(0, 0);
    await page.screenshot({ path: out });
    return { out, painted_ms };
  },
  { film },
);
