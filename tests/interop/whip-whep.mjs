/**
 * whip-whep.mjs: npm whip-whep, by an author of RFC 9725, in Chromium: publishes a coloured canvas and views it styled. Says where
 * its page is, reads one line of JSON with what to do, {base, token, stream, codec, audio, relay}, and prints what it saw.
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { pause, report } from "../e2e/browser/chromium.mjs";

const client = dirname(createRequire(import.meta.url).resolve("whip-whep/package.json"));

/** A page of another origin than the server's, as those of a studio would be: all that it does there is CORS. */
function pages() {
  const server = createServer((request, response) => {
    const name = { "/whip.js": "whip.js", "/whep.js": "whep.js" }[request.url];
    response.setHeader("Content-Type", name ? "text/javascript" : "text/html");
    response.end(name ? readFileSync(join(client, name)) : "<!doctype html><title>whip-whep</title><link rel=icon href=data:,><video id=styled muted autoplay playsinline></video>");
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

async function line() {
  for await (const one of createInterface({ input: process.stdin })) return JSON.parse(one);
}

/** In the page: publishes a canvas of one colour in which a small square wanders. */
async function publish({ base, token, stream, codec, audio, relay }) {
  const { WHIPClient } = await import("/whip.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 320 });
  const context = canvas.getContext("2d");
  document.body.append(canvas); // one that is not shown is not captured either
  let count = 0;
  setInterval(() => {
    context.fillStyle = "rgb(200 40 20)";
    context.fillRect(0, 0, 320, 320);
    context.fillStyle = "rgb(210 60 40)";
    context.fillRect((count++ * 7) % 300, 20, 20, 20);
  }, 33);
  const source = canvas.captureStream(30);
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: relay ? "relay" : "all" });
  if (audio) {
    const sound = new AudioContext();
    const destination = sound.createMediaStreamDestination();
    const tone = sound.createOscillator();
    tone.connect(destination);
    tone.start();
    pc.addTransceiver(destination.stream.getTracks()[0], { direction: "sendonly", streams: [source] });
  }
  const sender = pc.addTransceiver(source.getTracks()[0], { direction: "sendonly", streams: [source] });
  const codecs = RTCRtpSender.getCapabilities("video").codecs.filter((one) => one.mimeType === `video/${codec}`);
  sender.setCodecPreferences(codecs);
  window.publishing = { pc, client: new WHIPClient(), offer: "" };
  window.publishing.client.onOffer = (offer) => (window.publishing.offer = offer);
  await window.publishing.client.publish(pc, `${base}/whip/${stream}`, token);
}

/** In the page: views the stream. */
async function view({ base, token, stream, codec, audio, relay }) {
  const { WHEPClient } = await import("/whep.js");
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceTransportPolicy: relay ? "relay" : "all" });
  if (audio) pc.addTransceiver("audio", { direction: "recvonly" });
  const receiver = pc.addTransceiver("video", { direction: "recvonly" });
  const wanted = RTCRtpReceiver.getCapabilities("video").codecs.filter((one) => one.mimeType === `video/${codec}`);
  receiver.setCodecPreferences(wanted);
  pc.ontrack = ({ track }) => track.kind === "video" && (document.querySelector("#styled").srcObject = new MediaStream([track]));
  window.viewing = { pc, client: new WHEPClient(), offer: "" };
  window.viewing.client.onOffer = (offer) => (window.viewing.offer = offer);
  await window.viewing.client.view(pc, `${base}/whep/${stream}`, token);
}

/** In the page: what a connection says of itself. */
async function seen(name) {
  const stats = await window[name].pc.getStats();
  const all = [...stats.values()];
  const rtp = all.find((one) => ["inbound-rtp", "outbound-rtp"].includes(one.type) && one.kind === "video");
  const pair = all.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded");
  return {
    codec: stats.get(rtp?.codecId)?.mimeType,
    frames: rtp?.framesDecoded ?? rtp?.framesEncoded ?? 0,
    local: stats.get(pair?.localCandidateId)?.candidateType,
    offer: window[name].offer,
    session: window[name].client.resourceURL?.href,
  };
}

/** In the page: the mean colour of the styled video. */
function colour() {
  const context = new OffscreenCanvas(32, 32).getContext("2d");
  context.drawImage(document.querySelector("#styled"), 0, 0, 32, 32);
  const data = context.getImageData(0, 0, 32, 32).data;
  return [0, 1, 2].map((channel) => data.filter((_, at) => at % 4 === channel).reduce((sum, one) => sum + one, 0) / 1024);
}

const server = await pages();
const origin = `http://127.0.0.1:${server.address().port}`;
process.stdout.write(`${JSON.stringify({ origin })}\n`);
const task = await line();
try {
  await report(
    async (page) => {
      await page.goto(origin);
      await page.evaluate(publish, task);
      await page.waitForFunction(() => window.publishing.pc.connectionState === "connected");
      await page.evaluate(view, task);
      await page.waitForFunction(() => window.viewing.pc.connectionState === "connected");
      await page.waitForFunction(() => document.querySelector("#styled").currentTime > 0);
      const before = await page.evaluate(seen, "viewing");
      await pause(3_000);
      const [published, viewed] = [await page.evaluate(seen, "publishing"), await page.evaluate(seen, "viewing")];
      const result = { published, viewed, fps: (viewed.frames - before.frames) / 3, colour: await page.evaluate(colour) };
      await page.evaluate(() => Promise.all([window.viewing.client.stop(), window.publishing.client.stop()]));
      return result;
    },
    { width: 400, height: 400 },
  );
} finally {
  server.closeAllConnections();
  server.close();
  process.stdin.destroy();
}
