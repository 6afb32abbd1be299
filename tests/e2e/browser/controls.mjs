/** controls.mjs BASE PICTURE: publishes a picture, so that only the controls change what comes back. */

import { apart, difference, grab, pause, report, untilPainted } from "./chromium.mjs";

const SETTLE_MS = 2_500;
const [base, picture] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(`${base}/?stream=controls&transition_ms=0&source=file`);
  await page.waitForSelector("[data-parameter=strength]");
  await page.setInputFiles("#file", picture);
  await untilPainted(page);
  await pause(SETTLE_MS);
  const state = async () => (await (await fetch(`${base}/api/v1/streams/controls`)).json()).params;
  const full = { difference: await difference(page), params: await state() };
  const painted = await grab(page, "#styled");
  await pause(SETTLE_MS);
  const unrest = apart(painted, await grab(page, "#styled")); // what changes although nobody changes anything
  await page.focus("#parameter-strength");
  await page.keyboard.press("Home"); // the slider's lowest value, as a person without a mouse would
  await pause(SETTLE_MS);
  const none = { difference: await difference(page), params: await state() };
  const change = apart(painted, await grab(page, "#styled"));
  await page.fill("#parameter-seed", "-5");
  await page.press("#parameter-seed", "Enter");
  await page.waitForSelector("[data-parameter=seed].refused");
  const refusal = await page.textContent("#parameter-seed-problem");
  await page.click("[data-parameter=noise_motion] .choice:has([value=fixed])");
  await page.click(".dice");
  await pause(500);
  const seeded = await state();
  return { full, none, unrest, change, refusal, seeded, seed_shown: Number(await page.inputValue("#parameter-seed")), address: page.url() };
});
