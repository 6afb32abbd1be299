/** prompts.mjs BASE PICTURE OUT: types a prompt into the console, mixes another in, turns a LoRA up, chooses a picture. OUT is a screenshot. */

import { framesDecoded, pause, report, untilPainted } from "./chromium.mjs";

const [base, picture = "", out] = process.argv.slice(2);
const PROMPT = "[data-parameter=prompt] textarea";

await report(async (page) => {
  await page.goto(`${base}/?stream=prompts&transition_ms=0`);
  await page.waitForSelector(PROMPT);
  const controls = await page.$$eval("[data-parameter]", (fields) => fields.map((field) => field.dataset.parameter));
  const before = await page.inputValue(PROMPT);
  await page.click("#start");
  await untilPainted(page);
  const params = async (/** @type {(params: any) => boolean} */ holds) => {
    for (let tries = 0; tries < 100; tries++) {
      const { params } = await (await fetch(`${base}/api/v1/streams/prompts`)).json();
      if (holds(params)) return params;
      await pause(100);
    }
    throw new Error("the server never got it");
  };
  await page.fill(PROMPT, "a red cat");
  const one = await params(({ prompt }) => prompt === "a red cat");
  await page.click("[data-parameter=prompt] .mix");
  await page.fill(`${PROMPT} >> nth=1`, "blue house");
  const mixed = await params(({ prompt }) => typeof prompt === "object");
  await page.focus("[data-parameter=loras] .slider");
  await page.keyboard.press("End");
  const inked = await params(({ loras }) => loras.ink > 0);
  const chooser = page.waitForEvent("filechooser");
  await page.click("[data-parameter=reference] button:not(.remove)");
  await (await chooser).setFiles(picture);
  const looked = await params(({ reference }) => reference.startsWith("sha256:"));
  await page.waitForFunction(() => /** @type {HTMLImageElement | null} */ (document.querySelector(".thumbnail"))?.naturalWidth);
  const frames = await framesDecoded(page);
  let flows = 0;
  for (let tries = 0; tries < 200 && flows < 2; tries++) {
    await pause(100);
    flows = (await framesDecoded(page)) - frames;
  }
  await page.mouse.move(0, 0);
  await page.screenshot({ path: out });
  const address = page.url();
  await page.click("[data-parameter=reference] .remove");
  await page.click("[data-parameter=prompt] .prompt:nth-child(2) .remove");
  const left = await params(({ prompt, reference }) => prompt === "a red cat" && reference === "");
  return { controls, before, one, mixed, inked, looked, flows, address, left };
});
