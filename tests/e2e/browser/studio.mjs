/** studio.mjs BASE: the canvas with the fake microphone on the air; it is unmuted, and recorded by the server's button. */

import { pause, report, untilPainted } from "./chromium.mjs";

const [base] = process.argv.slice(2);

await report(async (page) => {
  await page.goto(`${base}/?source=canvas&stream=studio`);
  await page.waitForSelector("#record-server:not([hidden])");
  await page.click("#send-sound");
  await page.click("#start");
  await untilPainted(page);
  await page.waitForSelector("#hear-sound:not([disabled])");
  const mutedAtFirst = await page.evaluate(() => document.querySelector("#styled").muted);
  await page.click("#hear-sound");
  await page.click("#record-server");
  await page.waitForSelector("#record-server[aria-pressed=true]");
  await pause(3_000);
  await page.click("#record-server");
  await page.waitForSelector("#notice:not([hidden])");
  return {
    muted: [mutedAtFirst, await page.evaluate(() => document.querySelector("#styled").muted)],
    heard: await page.evaluate(async () => {
      let packets = 0;
      for (const connection of window.connections)
        for (const stats of (await connection.getStats()).values()) if (stats.type === "inbound-rtp" && stats.kind === "audio") packets += stats.packetsReceived;
      return packets;
    }),
    title: await page.textContent("#notice-title"),
    detail: await page.textContent("#notice-detail"),
  };
});
