/** screenshot.mjs BASE OUT [PICTURE]: the README's picture. Without a picture it shows the fake camera. */

import { pause, report, untilPainted } from "./chromium.mjs";

const [base, out, picture] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(`${base}/?stream=studio${picture ? "&source=file" : ""}`);
  await page.waitForSelector("[data-parameter=strength]");
  if (picture) await page.setInputFiles("#file", picture);
  else await page.click("#start");
  await untilPainted(page);
  await pause(20_000); // the plot fills
  await page.mouse.move(0, 0);
  await page.screenshot({ path: out });
  return { out };
});
