/** blocked.mjs BASE: the console and the view page in a browser whose WebRTC reaches nobody, as where UDP is blocked. */

import { difference, metric, pause, report, untilPainted } from "./chromium.mjs";

const WINDOW_MS = 5_000;
const [base] = process.argv.slice(2);

/** Runs in the page: only relays may be used, and there are none. */
function blockUdp() {
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(configuration = {}) {
      super({ ...configuration, iceTransportPolicy: "relay" });
    }
  };
}

const delivered = () => metric(base, "cmstream_frames_delivered_total");

await report(async (page) => {
  page.setDefaultTimeout(40_000); // the page gives WebRTC seven seconds first
  await page.addInitScript(blockUdp);
  await page.goto(base);
  await page.waitForSelector("[data-parameter=strength]");
  await page.click("#start");
  const painted_ms = await untilPainted(page);
  const sentBefore = await delivered();
  await pause(WINDOW_MS);
  const sent = (await delivered()) - sentBefore;
  const stream = await page.inputValue("#stream-name");
  const state = await (await fetch(`${base}/api/v1/streams/${stream}`)).json();
  await page.waitForFunction(() => Number(document.querySelector("#stat-frames").textContent) > 5);
  const view = await page.context().newPage();
  view.setDefaultTimeout(40_000);
  await view.addInitScript(blockUdp);
  await view.goto(`${base}/view/${stream}?debug`);
  const viewed_ms = await untilPainted(view);
  await view.waitForFunction(() => /painted \d+ ms after/.test(document.querySelector("#debug").textContent));
  const said = await view.textContent("#debug");
  await view.close();
  const result = {
    painted_ms,
    viewed_ms,
    said,
    fps: (sent * 1000) / WINDOW_MS,
    publisher: state.publisher,
    status: await page.textContent("#status-text"),
    difference: await difference(page),
  };
  await page.click("#start"); // now Stop
  await pause(1_000);
  const after = await (await fetch(`${base}/api/v1/streams/${stream}`)).json();
  return { ...result, publisher_after_stop: after.publisher ?? null, viewers_after_stop: after.viewers ?? 0 };
});
