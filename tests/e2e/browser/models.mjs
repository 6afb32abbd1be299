/** models.mjs BASE LOADING CHANGED: chooses another model in the console while it is live. LOADING and CHANGED are screenshots. */

import { framesDecoded, pause, report, untilPainted } from "./chromium.mjs";

const [base, loading, changed] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(`${base}/?stream=models&style=watercolour&strength=0.5`);
  await page.waitForSelector("#model:not([hidden])");
  const offered = await page.$$eval("#model option", (options) => options.map((option) => option.textContent));
  const first = await page.inputValue("#model");
  const stylesOf = () => page.$$eval("[data-parameter=style] .choice", (labels) => labels.map((label) => label.textContent));
  const before = await stylesOf();
  await page.click("#start");
  await untilPainted(page);
  await page.selectOption("#model", "wave");
  await page.click("#model-cancel");
  await page.waitForFunction(() => document.querySelector("#model-doing").hidden);
  const cancelled = {
    shown: await page.inputValue("#model"),
    swap: (await (await fetch(`${base}/api/v1/model`)).json()).swap.state,
    isSilent: await page.isHidden("#notice"),
    isGone: await page.isHidden("#model-cancel"),
  };
  const framesBefore = await framesDecoded(page);
  await page.selectOption("#model", "wave");
  await page.waitForFunction(() => document.querySelector("#model-doing").textContent.includes("wave: warming up"));
  await page.screenshot({ path: loading });
  await page.waitForFunction(() => document.querySelector("#model-doing").hidden, null, { timeout: 60_000 });
  await page.waitForFunction(() => document.querySelector("[data-parameter=style] .choice")?.textContent === "Ink");
  const framesMeanwhile = (await framesDecoded(page)) - framesBefore;
  const after = await stylesOf();
  await page.waitForFunction(() => location.search.includes("style=ink"));
  const { params, model } = await (await fetch(`${base}/api/v1/streams/models`)).json();
  const framesAfter = await framesDecoded(page);
  await pause(1_500);
  const flows = (await framesDecoded(page)) - framesAfter;
  await page.mouse.move(0, 0);
  await page.screenshot({ path: changed });
  await page.selectOption("#model", "broken");
  await page.waitForSelector("#notice:not([hidden])");
  const refusal = await page.textContent("#notice");
  const shown = await page.inputValue("#model");
  const address = await page.evaluate(() => location.search);
  return { offered, first, cancelled, before, after, params, model, framesMeanwhile, flows, refusal, shown, address };
});
