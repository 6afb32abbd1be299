/** Debian's Chromium with a fake camera, and what the scripts beside this file measure in its pages. */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const clients = fileURLToPath(new URL("../../../clients/browser/package.json", import.meta.url));
const { chromium } = createRequire(clients)("playwright-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream=fps=30",
  "--use-fake-ui-for-media-stream",
];

/**
 * Runs `use(page)` in a fresh browser and prints what it returns, with the page's own errors, as one line of JSON.
 * `film` is an .mjpeg or .y4m file that the fake camera shows, over and over, instead of its test picture.
 */
export async function report(use, { width = 1440, height = 900, scheme = "dark", film, bypassCSP = false } = {}) {
  const args = film ? [...FLAGS, `--use-file-for-fake-video-capture=${film}`] : FLAGS;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args });
  try {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.addInitScript(keepConnections);
    const result = await use(page);
    await page.goto("about:blank"); // closing a browser does not run the page's goodbye; leaving the page does
    await pause(300);
    process.stdout.write(`${JSON.stringify({ ...result, errors })}\n`);
  } finally {
    await browser.close();
  }
}

/** Runs in the page before anything else: its connections can then be asked for their own counts. */
function keepConnections() {
  window.connections = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      window.connections.push(this);
    }
  };
}

/** Frames the browser decoded on its newest connection that receives video. */
export function framesDecoded(page) {
  return page.evaluate(async () => {
    let frames = 0;
    for (const connection of window.connections) {
      if (connection.connectionState !== "connected") continue;
      for (const stats of (await connection.getStats()).values()) if (stats.type === "inbound-rtp" && stats.kind === "video") frames = stats.framesDecoded;
    }
    return frames;
  });
}

/** Resolves with how many ms passed until the styled video shows pixels. */
export async function untilPainted(page) {
  const started = performance.now();
  await page.waitForFunction(() => document.querySelector("#styled").videoWidth > 0 && document.querySelector("#styled").currentTime > 0, null, { polling: 50 });
  return performance.now() - started;
}

/** A thumbnail of what a selector shows, as flat RGBA. */
export function grab(page, selector) {
  return page.evaluate((selector) => {
    const context = new OffscreenCanvas(96, 72).getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(document.querySelector(selector), 0, 0, 96, 72);
    return [...context.getImageData(0, 0, 96, 72).data];
  }, selector);
}

/** Mean absolute difference of two thumbnails, 0 to 255. */
export function apart(a, b) {
  return a.reduce((sum, value, index) => sum + Math.abs(value - b[index]), 0) / (a.length * 0.75); // alpha never differs
}

/** How far what comes back is from the source. */
export async function difference(page) {
  return apart(await grab(page, "#source-pane > *"), await grab(page, "#styled"));
}

/** The sum of one counter in the server's /metrics. */
export async function metric(base, name) {
  const text = await (await fetch(`${base}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
